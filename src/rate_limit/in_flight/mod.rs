//! A limit on requests in flight.

mod body;
mod counts;
mod layer;
mod service;

pub use self::{
    body::InFlightBody,
    layer::InFlightLayer,
    service::{InFlight, InFlightFuture},
};
