//! The features that a permissions policy speaks of.

use std::borrow::Cow;

use crate::{config::ConfigError, headers::structured::is_key};

/// A feature of browsers that a permissions policy allows or denies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PermissionsFeature(Cow<'static, str>);

macro_rules! features {
    ($($constant:ident = $name:literal,)+) => {
        impl PermissionsFeature {
            $(
                #[doc = concat!("`", $name, "`.")]
                pub const $constant: Self = Self(Cow::Borrowed($name));
            )+
        }
    };
}

features! {
    ACCELEROMETER = "accelerometer",
    AMBIENT_LIGHT_SENSOR = "ambient-light-sensor",
    ATTRIBUTION_REPORTING = "attribution-reporting",
    AUTOPLAY = "autoplay",
    BLUETOOTH = "bluetooth",
    BROWSING_TOPICS = "browsing-topics",
    CAMERA = "camera",
    CLIPBOARD_READ = "clipboard-read",
    CLIPBOARD_WRITE = "clipboard-write",
    COMPUTE_PRESSURE = "compute-pressure",
    CROSS_ORIGIN_ISOLATED = "cross-origin-isolated",
    DISPLAY_CAPTURE = "display-capture",
    ENCRYPTED_MEDIA = "encrypted-media",
    FULLSCREEN = "fullscreen",
    GAMEPAD = "gamepad",
    GEOLOCATION = "geolocation",
    GYROSCOPE = "gyroscope",
    HID = "hid",
    IDENTITY_CREDENTIALS_GET = "identity-credentials-get",
    IDLE_DETECTION = "idle-detection",
    LOCAL_FONTS = "local-fonts",
    MAGNETOMETER = "magnetometer",
    MICROPHONE = "microphone",
    MIDI = "midi",
    OTP_CREDENTIALS = "otp-credentials",
    PAYMENT = "payment",
    PICTURE_IN_PICTURE = "picture-in-picture",
    PUBLICKEY_CREDENTIALS_CREATE = "publickey-credentials-create",
    PUBLICKEY_CREDENTIALS_GET = "publickey-credentials-get",
    SCREEN_WAKE_LOCK = "screen-wake-lock",
    SERIAL = "serial",
    SPEAKER_SELECTION = "speaker-selection",
    STORAGE_ACCESS = "storage-access",
    SYNC_XHR = "sync-xhr",
    UNLOAD = "unload",
    USB = "usb",
    WEB_SHARE = "web-share",
    WINDOW_MANAGEMENT = "window-management",
    XR_SPATIAL_TRACKING = "xr-spatial-tracking",
}

impl PermissionsFeature {
    /// A feature that has no constant here.
    ///
    /// # Errors
    ///
    /// If the name is not lower-case letters, digits, `_`, `-`, `.`, beginning with a letter.
    pub fn custom(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        if !is_key(&name) || name.contains('*') {
            let expected = "a feature's name is lower case, such as picture-in-picture";
            return Err(ConfigError::new("Permissions-Policy", name, expected));
        }
        Ok(Self(Cow::Owned(name)))
    }

    /// The name in the header field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
