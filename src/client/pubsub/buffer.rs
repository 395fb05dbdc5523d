//! Messages between the connections and whoever reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use redis::{Msg, PushInfo, PushKind, Value};
use tokio::sync::mpsc;

/// As many bytes as a Redis server keeps for a subscriber by default before it drops the subscriber. Here the newest
/// messages are dropped, since the subscriptions of one slow reader may be its only ones.
pub(super) const MOST_BYTES: usize = 32 * 1024 * 1024;

/// What a message takes beside its own bytes, so that many empty ones are bounded as well.
const OVERHEAD: usize = 256;

/// Where the connections put messages. It never makes them wait.
#[derive(Debug)]
pub(super) struct Buffer {
    sender: mpsc::UnboundedSender<(usize, Msg)>,
    counts: Arc<Counts>,
}

/// Where they are read.
#[derive(Debug)]
pub(super) struct Reader {
    receiver: mpsc::UnboundedReceiver<(usize, Msg)>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    held_bytes: AtomicUsize,
    missed: AtomicU64,
}

pub(super) fn buffer() -> (Buffer, Reader) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let counts = Arc::new(Counts::default());
    (Buffer { sender, counts: Arc::clone(&counts) }, Reader { receiver, counts })
}

impl Buffer {
    /// Takes a message, or drops it if too much waits already. Everything else that a server says unasked is no message.
    pub(super) fn take(&self, push: PushInfo) {
        if !matches!(push.kind, PushKind::Message | PushKind::PMessage | PushKind::SMessage) {
            return;
        }
        let bytes = push.data.iter().map(length).sum::<usize>() + OVERHEAD;
        let Some(message) = Msg::from_push_info(push) else { return };
        let before = self.counts.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is larger than all the room passes when it is alone, or it would never.
        if before > 0 && before.saturating_add(bytes) > MOST_BYTES {
            self.counts.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
            if self.counts.missed.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!("messages are read more slowly than they come, and are being dropped");
            }
            return;
        }
        // Without a reader there is nobody to miss it.
        let _ = self.sender.send((bytes, message));
    }
}

impl Reader {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Msg>> {
        self.receiver.poll_recv(cx).map(|received| {
            received.map(|(bytes, message)| {
                self.counts.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
                message
            })
        })
    }

    pub(super) fn missed(&self) -> u64 {
        self.counts.missed.load(Ordering::Relaxed)
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::BulkString(bytes) => bytes.len(),
        Value::SimpleString(text) => text.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn message(bytes: usize) -> PushInfo {
        let data = vec![Value::BulkString(b"channel".to_vec()), Value::BulkString(vec![b'x'; bytes])];
        PushInfo { kind: PushKind::Message, data }
    }

    fn read(reader: &mut Reader) -> Option<usize> {
        match reader.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(message) => message.map(|message| message.get_payload_bytes().len()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_are_kept() {
        let (buffer, mut reader) = buffer();
        let half = MOST_BYTES / 2;
        for bytes in [half, 1, half, 2] {
            buffer.take(message(bytes));
        }
        assert_eq!(reader.missed(), 1);
        assert_eq!([read(&mut reader), read(&mut reader), read(&mut reader)], [Some(half), Some(1), Some(2)]);
        buffer.take(message(half));
        assert_eq!((read(&mut reader), read(&mut reader), reader.missed()), (Some(half), None, 1));
    }

    #[test]
    fn many_empty_messages_are_bounded_too() {
        let (buffer, reader) = buffer();
        (0..=MOST_BYTES / OVERHEAD).for_each(|_| buffer.take(message(0)));
        assert!(reader.missed() > 0);
    }

    #[test]
    fn one_larger_than_the_room_passes_alone() {
        let (buffer, mut reader) = buffer();
        buffer.take(message(MOST_BYTES + 1));
        buffer.take(message(0));
        assert_eq!((read(&mut reader), read(&mut reader), reader.missed()), (Some(MOST_BYTES + 1), None, 1));
    }

    #[test]
    fn only_messages_are_taken() {
        let (buffer, mut reader) = buffer();
        let data = vec![Value::BulkString(b"channel".to_vec()), Value::Int(1)];
        buffer.take(PushInfo { kind: PushKind::Subscribe, data });
        assert_eq!(read(&mut reader), None);
    }
}
