//! fsutil's wire messages (`types/wire.proto`, `types/stat.proto` of tonistiigi/fsutil), with paths as bytes.
//!
//! A protobuf `string` and `bytes` have the same encoding; BuildKit hands a path to the file system as it came.

use bytes::Bytes;

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum PacketType {
    /// An entry; without one, the end of the listing.
    Stat = 0,
    /// A request for an entry's content, by number.
    Request = 1,
    /// A piece of content; an empty one ends the file.
    Data = 2,
    /// The end of the transfer.
    Fin = 3,
    /// The other side failed; `data` says why.
    Error = 4,
}

/// One message of a transfer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Packet {
    /// What it is for.
    #[prost(enumeration = "PacketType", tag = "1")]
    pub kind: i32,
    /// The entry of a `Stat` packet.
    #[prost(message, optional, tag = "2")]
    pub stat: Option<Stat>,
    /// The entry's number: its place in the listing, from 0.
    #[prost(uint32, tag = "3")]
    pub id: u32,
    /// Content.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
}

/// One entry. Owner, device numbers and extended attributes stay at their zero values.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stat {
    /// Relative path with `/`.
    #[prost(bytes = "bytes", tag = "1")]
    pub path: Bytes,
    /// Go's `fs.FileMode`: permission bits, and type bits of its own.
    #[prost(uint32, tag = "2")]
    pub mode: u32,
    /// Bytes.
    #[prost(int64, tag = "5")]
    pub size: i64,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "6")]
    pub mod_time: i64,
    /// A symbolic link's target.
    #[prost(bytes = "bytes", tag = "7")]
    pub linkname: Bytes,
}

impl Packet {
    pub(super) fn stat(stat: Option<Stat>) -> Self {
        Self {
            kind: PacketType::Stat.into(),
            stat,
            ..Self::default()
        }
    }

    pub(super) fn data(id: u32, data: Bytes) -> Self {
        Self {
            kind: PacketType::Data.into(),
            id,
            data,
            ..Self::default()
        }
    }

    pub(super) fn fin() -> Self {
        Self {
            kind: PacketType::Fin.into(),
            ..Self::default()
        }
    }
}
