//! One transfer: the listing, then the contents that are asked for, each on a blocking thread, side by side.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::packet::{Packet, PacketType, Stat};
use crate::snapshot::{Content, Entry, EntryKind, Filter, ObjectId, Tree};

/// Content bytes per packet.
const CHUNK: usize = 64 << 10;

/// Go's `fs.ModeDir` and `fs.ModeSymlink`.
const MODE_DIRECTORY: u32 = 1 << 31;
const MODE_SYMLINK: u32 = 1 << 27;

/// The first second of 2000, a day, and ten years, in nanoseconds.
const EPOCH: u64 = 946_684_800_000_000_000;
const DAY: u64 = 86_400_000_000_000;
const TEN_YEARS: u64 = 315_360_000_000_000_000;

type Packets = mpsc::Sender<Result<Packet, Status>>;

/// The contents that may be asked for, by number. Everything that is not a file holds a place.
type Contents = Arc<Mutex<Vec<Option<Content>>>>;

/// Runs a transfer to its end and says how many bytes of content it sent. The error is one for people.
pub(super) async fn send(
    tree: Tree,
    filter: Option<Filter>,
    mut incoming: Streaming<Packet>,
    packets: Packets,
) -> Result<u64, String> {
    let contents = Contents::default();
    let listing = tokio::task::spawn_blocking({
        let (tree, contents, packets) = (tree.clone(), Arc::clone(&contents), packets.clone());
        move || list(&tree, filter.as_ref(), &contents, &packets)
    });
    // Numbers only: at most one per file of the listing, so that this needs no bound of its own.
    let (wanted, requests) = mpsc::unbounded_channel();
    let content = tokio::task::spawn_blocking({
        let packets = packets.clone();
        move || send_contents(&tree, &contents, requests, &packets)
    });
    let (mut listing, mut content) = (
        AbortOnDropHandle::new(listing),
        AbortOnDropHandle::new(content),
    );
    let mut listed = false;
    loop {
        let packet = tokio::select! {
            packet = incoming.next() => packet,
            // Without this, BuildKit and we would wait for each other when the listing fails.
            result = &mut listing, if !listed => {
                result.map_err(|error| error.to_string())??;
                listed = true;
                continue;
            }
            // It ends before its requests do only when it fails.
            result = &mut content => return result.map_err(|error| error.to_string())?,
        };
        let Some(packet) = packet else { break };
        let packet = packet
            .map_err(|status| format!("BuildKit ended the transfer: {}", status.message()))?;
        match packet.kind() {
            PacketType::Request => {
                // The other end is gone only after an error of its own, which the next turn reports.
                let _gone = wanted.send(packet.id);
            }
            PacketType::Fin => break,
            PacketType::Error => {
                let reason = String::from_utf8_lossy(&packet.data).into_owned();
                return Err(format!("BuildKit could not take the files: {reason}"));
            }
            PacketType::Stat | PacketType::Data => {
                return Err("BuildKit sent a packet that only we send".to_owned());
            }
        }
    }
    drop(wanted);
    if !listed {
        listing.await.map_err(|error| error.to_string())??;
    }
    let bytes = content.await.map_err(|error| error.to_string())??;
    let _gone = packets.send(Ok(Packet::fin())).await;
    Ok(bytes)
}

fn list(
    tree: &Tree,
    filter: Option<&Filter>,
    contents: &Contents,
    packets: &Packets,
) -> Result<(), String> {
    if let Some(filter) = filter {
        tree.walk(filter, &mut |entry| {
            let content = matches!(entry.kind, EntryKind::File).then_some(entry.content);
            contents
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(content);
            match packets.blocking_send(Ok(Packet::stat(Some(stat(entry))))) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })
        .map_err(|error| error.to_string())?;
    }
    let _gone = packets.blocking_send(Ok(Packet::stat(None)));
    Ok(())
}

fn send_contents(
    tree: &Tree,
    contents: &Contents,
    mut requests: mpsc::UnboundedReceiver<u32>,
    packets: &Packets,
) -> Result<u64, String> {
    let mut sent = 0;
    while let Some(id) = requests.blocking_recv() {
        let content = usize::try_from(id)
            .ok()
            .and_then(|index| {
                contents
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get(index)
                    .copied()
                    .flatten()
            })
            .ok_or_else(|| format!("BuildKit asked for file {id}, which is not in the listing"))?;
        let mut reader = tree.open(content).map_err(|error| error.to_string())?;
        loop {
            let chunk = read_chunk(&mut reader)
                .map_err(|error| format!("git object {}: {error}", content.id))?;
            let last = chunk.is_empty();
            sent += chunk.len() as u64;
            if packets.blocking_send(Ok(Packet::data(id, chunk))).is_err() {
                return Ok(sent);
            }
            if last {
                break;
            }
        }
    }
    Ok(sent)
}

fn read_chunk(source: &mut impl Read) -> std::io::Result<Bytes> {
    let mut buffer = BytesMut::zeroed(CHUNK);
    let mut filled = 0;
    while filled < CHUNK {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer.freeze())
}

fn stat(entry: Entry) -> Stat {
    let (kind, linkname) = match entry.kind {
        EntryKind::Directory => (MODE_DIRECTORY, Vec::new()),
        EntryKind::File => (0, Vec::new()),
        EntryKind::Symlink { target } => (MODE_SYMLINK, target),
    };
    Stat {
        path: entry.path.into(),
        mode: kind | entry.mode,
        size: i64::try_from(entry.size).unwrap_or(i64::MAX),
        mod_time: if kind == MODE_DIRECTORY {
            EPOCH.cast_signed()
        } else {
            mod_time(entry.content.id, entry.content.conversion.code())
        },
        linkname: linkname.into(),
    }
}

/// A modification time that changes whenever the content does.
///
/// BuildKit compares size and time with an earlier transfer and skips what looks the same. The time is not part of any
/// cache key, but the build sees it: so it lies in the past (a source from the future is rebuilt for ever by `make` and
/// cargo) and after 1980 (the earliest time that a zip file can hold, which matters to Python wheels).
fn mod_time(id: ObjectId, conversion: u8) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id.as_bytes()[..8]);
    let place = u64::from_be_bytes(first).wrapping_add(DAY * u64::from(conversion));
    (EPOCH + place % TEN_YEARS).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_past_and_follow_the_content() {
        let time = |hex: &str| mod_time(hex.parse().expect("an object id"), 0);
        let low = time("0000000000000000000000000000000000000000");
        let high = time("ffffffffffffffffffffffffffffffffffffffff");
        assert_eq!(low, 946_684_800_000_000_000, "2000-01-01");
        assert!(
            high > low && high < 1_262_304_000_000_000_000,
            "before 2010: {high}"
        );
        assert_ne!(low, time("0000000000000001000000000000000000000000"));
        let id = "0000000000000000000000000000000000000000";
        assert_ne!(low, mod_time(id.parse().expect("an object id"), 1));
    }

    #[test]
    fn chunks_are_full_until_the_end() {
        let content = vec![7; CHUNK + 3];
        let mut source = content.as_slice();
        let lengths: Vec<usize> =
            std::iter::from_fn(|| read_chunk(&mut source).ok().map(|chunk| chunk.len()))
                .take(3)
                .collect();
        assert_eq!(lengths, [CHUNK, 3, 0]);
    }
}
