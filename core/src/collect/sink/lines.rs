//! Whole lines, as many as fit into what is sent in one go.

use super::parcel::{Packet, Unsent};

/// A datagram that no network has to take apart: what Ethernet carries, less the headers of IPv6, of
/// UDP and of a tunnel.
pub(crate) const DATAGRAM: usize = 1_432;

/// Lines that become packets.
pub(crate) struct Lines {
    most: usize,
    packets: Vec<Packet>,
}

impl Lines {
    /// Packets of at most so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            packets: Vec::new(),
        }
    }

    /// Adds a line, or several that must not come apart, with so many values in it. One that is too
    /// long is a packet of its own, which [`check_size`] refuses.
    pub(crate) fn push(&mut self, line: &str, points: u64) {
        if let Some(last) = self.packets.last_mut()
            && last.bytes.len() + line.len() <= self.most
        {
            last.bytes.extend_from_slice(line.as_bytes());
            last.points += points;
            return;
        }
        self.packets.push(Packet {
            bytes: line.as_bytes().to_vec(),
            points,
            place: "",
        });
    }

    pub(crate) fn into_packets(self) -> Vec<Packet> {
        self.packets
    }
}

/// Refuses what is longer than a packet may be.
pub(crate) fn check_size(packet: &Packet, most: usize) -> Result<(), Unsent> {
    let size = packet.bytes.len();
    if size <= most {
        return Ok(());
    }
    let why = format!("a line of {size} bytes is longer than the {most} bytes of a datagram");
    Err(Unsent::Never(why))
}
