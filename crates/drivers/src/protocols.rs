//! The macro that makes drivers and endpoints of the registry's one list.

use serde::Deserializer;
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, MapAccess};

/// Makes [`Protocol`](crate::Protocol)s and the enum `Endpoint` of one line a protocol:
///
/// ```text
/// FOLDER::DRIVER if (CONDITION) { VARIANT(SECTION) = "FIRST KEY", … }
/// ```
///
/// The folder's name is the driver's. The condition says when the driver is compiled; its endpoints always are, unless
/// the line starts with a `#[cfg(…)]`.
macro_rules! protocols {
    ($(
        $(#[cfg($known:meta)])?
        $folder:ident::$driver:ident if ($compiled:meta) { $($variant:ident($section:ident) = $key:literal),+ $(,)? }
    )+) => {
        protocols! { @all $(
            #[cfg(all($($known)?))]
            $folder::$driver if ($compiled) { $($variant($section) = $key,)+ }
        )+ }
    };
    (@all $(
        #[$known:meta]
        $folder:ident::$driver:ident if ($compiled:meta) { $($variant:ident($section:ident) = $key:literal,)+ }
    )+) => {
        /// Every protocol that this version knows.
        static PROTOCOLS: &[Protocol] = &[$(
            #[$known]
            Protocol {
                name: stringify!($folder),
                endpoint_kinds: &[$($key,)+],
                driver: {
                    #[cfg($compiled)]
                    {
                        Some(&crate::$folder::$driver)
                    }
                    #[cfg(not($compiled))]
                    {
                        None
                    }
                },
            },
        )+];

        /// One place that a workload talks to. The first key of its section says which kind it is.
        #[derive(Clone, Debug, serde::Serialize)]
        #[serde(untagged)]
        pub enum Endpoint {
            $($(
                #[$known]
                #[doc = concat!("Starts with `", $key, "`.")]
                $variant(Box<crate::$folder::$section>),
            )+)+
        }

        impl Endpoint {
            /// The key that tells this kind apart, e.g. `http`.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $($(#[$known] Self::$variant(_) => $key,)+)+
                }
            }
        }

        impl std::ops::Deref for Endpoint {
            type Target = dyn slatest_core::target::EndpointSection;

            fn deref(&self) -> &Self::Target {
                match self {
                    $($(#[$known] Self::$variant(section) => section.as_ref(),)+)+
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for Endpoint {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Kinds;
                impl<'de> serde::de::Visitor<'de> for Kinds {
                    type Value = Endpoint;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an endpoint, like { http: https://api.example }")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Endpoint, A::Error> {
                        let (kind, section) = $crate::protocols::first_key(map)?;
                        match kind.as_str() {
                            $($(
                                #[$known]
                                $key => {
                                    let section = serde::Deserialize::deserialize(section)?;
                                    Ok(Endpoint::$variant(Box::new(section)))
                                }
                            )+)+
                            other => Err($crate::protocols::unknown_kind(other)),
                        }
                    }
                }
                deserializer.deserialize_map(Kinds)
            }
        }

        impl schemars::JsonSchema for Endpoint {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "Endpoint".into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let kinds = [$($(#[$known] generator.subschema_for::<crate::$folder::$section>(),)+)+];
                let mut schema = schemars::Schema::default();
                let kinds = kinds.into_iter().map(Into::into).collect();
                schema.insert("oneOf".into(), serde_json::Value::Array(kinds));
                schema
            }
        }
    };
}

/// An endpoint's first key, and its whole section with that key.
pub(crate) fn first_key<'de, A: MapAccess<'de>>(
    mut map: A,
) -> Result<(String, impl Deserializer<'de, Error = A::Error>), A::Error> {
    let kind: String = map.next_key()?.ok_or_else(|| {
        let message = format!("an endpoint needs one of the keys {}", crate::registry::kinds().join(" "));
        serde::de::Error::custom(message)
    })?;
    Ok((kind.clone(), MapAccessDeserializer::new(Replay { first: Some(kind), rest: map })))
}

/// The error of an endpoint that starts with a key that no protocol has.
pub(crate) fn unknown_kind<E: serde::de::Error>(key: &str) -> E {
    let kinds = crate::registry::kinds().join(" ");
    E::custom(format!("`{key}` can't come first in an endpoint: start with one of {kinds}"))
}

/// A map whose first key was already read: gives it once more, then the rest.
struct Replay<A> {
    first: Option<String>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Replay<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(key) => seed.deserialize(StringDeserializer::new(key)).map(Some),
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.rest.next_value_seed(seed)
    }
}
