//! What coordinator and agents say to each other, generated from `wire.proto`.

#![expect(missing_docs, clippy::all, reason = "generated; what each field means stands in wire.proto")]

tonic::include_proto!("slatest.v1");
