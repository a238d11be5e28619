//! What an application makes of claims: a type of its own, once, when the token is verified.

use std::{
    any::{Any, TypeId, type_name},
    fmt,
    marker::PhantomData,
    ops::Deref,
    sync::Arc,
};

use http::Extensions;
use serde::de::DeserializeOwned;

use super::{Claims, record::Record};
use crate::jwt::error::{JwtError, JwtErrorKind};

/// A value that was made of the claims it lies beside.
pub(super) struct Own {
    value: Box<dyn Any + Send + Sync>,
    put: fn(&Arc<Record>, &mut Extensions),
    take: fn(&mut Extensions),
}

/// How to make one.
#[derive(Clone, Copy)]
pub(in crate::jwt) struct Make {
    make: fn(&Claims) -> Option<Own>,
    name: fn() -> &'static str,
}

impl Make {
    /// None for claims that are to be left as they are.
    pub(in crate::jwt) fn of<T: DeserializeOwned + Send + Sync + 'static>() -> Option<Self> {
        (!is_unit::<T>()).then_some(Self {
            make: Own::make::<T>,
            name: type_name::<T>,
        })
    }
}

impl Own {
    fn make<T: DeserializeOwned + Send + Sync + 'static>(claims: &Claims) -> Option<Self> {
        let value: T = match claims.record.payload() {
            Some(payload) => serde_json::from_str(payload).ok()?,
            None => serde_json::from_value(serde_json::to_value(claims).ok()?).ok()?,
        };
        Some(Self {
            value: Box::new(value),
            put: |record, extensions| {
                extensions.insert(Claims::<T>::of(Arc::clone(record)));
            },
            take: |extensions| {
                extensions.remove::<Claims<T>>();
            },
        })
    }
}

fn is_unit<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<()>()
}

impl Record {
    /// What was made of the claims, if that is a `T`. Of every claims nothing can be made.
    fn own<T: 'static>(&self) -> Option<&T> {
        let own = self.own.as_ref();
        let made = own.and_then(|own| own.value.downcast_ref::<T>());
        made.or_else(|| (&() as &dyn Any).downcast_ref::<T>())
    }
}

impl Claims {
    /// Makes what an application wants of claims that nobody else has yet.
    pub(in crate::jwt) fn make(&mut self, make: Make) -> Result<(), JwtError> {
        let own = (make.make)(self).ok_or(JwtErrorKind::ClaimsMismatch)?;
        if let Some(record) = Arc::get_mut(&mut self.record) {
            record.own = Some(Box::new(own));
        }
        Ok(())
    }

    /// Puts the claims into the extensions of a request, and what was made of them. What an outer layer made
    /// of another token goes with that token's claims.
    pub(in crate::jwt) fn put(self, extensions: &mut Extensions) {
        let before = extensions.get::<Self>();
        if let Some(take) = before.and_then(|it| Some(it.record.own.as_ref()?.take)) {
            take(extensions);
        }
        if let Some(own) = &self.record.own {
            (own.put)(&self.record, extensions);
        }
        extensions.insert(self);
    }
}

impl<T> Claims<T> {
    pub(super) fn of(record: Arc<Record>) -> Self {
        Self {
            record,
            own: PhantomData,
        }
    }

    /// The claims as a `U`: a type that names the claims it wants as its fields, any of the payload's.
    ///
    /// Where the verifier was told of it ([`JwtVerifier::typed`](super::super::JwtVerifier::typed)), the value
    /// is there and this costs a counter; otherwise it is made here, each time.
    ///
    /// ```no_run
    /// # fn claims() -> portcullis::jwt::Claims { unimplemented!() }
    /// #[derive(serde::Deserialize)]
    /// struct Staff {
    ///     tenant: String,
    /// }
    /// let claims = claims().typed::<Staff>()?;
    /// println!("{} of {}", claims.subject(), claims.tenant);
    /// # Ok::<(), portcullis::jwt::JwtError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JwtErrorKind::ClaimsMismatch`] if they do not make one.
    pub fn typed<U>(&self) -> Result<Claims<U>, JwtError>
    where
        U: DeserializeOwned + Send + Sync + 'static,
    {
        if self.record.own::<U>().is_some() {
            return Ok(Claims::of(Arc::clone(&self.record)));
        }
        let mut anew: Claims = Claims::of(Arc::new(self.record.anew()));
        if let Some(make) = Make::of::<U>() {
            anew.make(make)?;
        }
        Ok(Claims::of(anew.record))
    }

    /// The claims as they are without a type of the application's own.
    pub fn untyped(&self) -> Claims {
        Claims::of(Arc::clone(&self.record))
    }
}

/// What was made of the claims.
impl<T: 'static> Deref for Claims<T> {
    type Target = T;

    #[allow(
        clippy::expect_used,
        reason = "no token decides it: claims of a type are only made beside a value of it"
    )]
    fn deref(&self) -> &T {
        self.record.own().expect("claims of a type have its value")
    }
}

impl fmt::Debug for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((self.name)())
    }
}
