//! Whose the other end of a connection is.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tokio::net::TcpStream;

const LOOKS: u32 = 3;

/// The one of these processes that holds the other end of a connection on this machine. `None` for another's, and for one
/// that is closed already.
///
/// The source port is the only thing that a server sees of a client, and the system says whose it is: by the socket's
/// inode, which the process has among its files.
pub fn process_of(stream: &TcpStream, pids: &BTreeSet<u32>) -> Option<u32> {
    let (peer, local) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
    let (peer, local) = (hex(peer)?, hex(local)?);
    // The table is no snapshot: a line that moves while it is read may be missed.
    let look = |_| inode(&std::fs::read_to_string("/proc/net/tcp").ok()?, &peer, &local).map(str::to_owned);
    let inode = (0..LOOKS).find_map(look)?;
    let socket = format!("socket:[{inode}]");
    pids.iter().copied().find(|pid| holds(*pid, &socket))
}

/// An address as the table has it: the number as this machine stores it, and the port.
fn hex(addr: SocketAddr) -> Option<String> {
    let SocketAddr::V4(addr) = addr else { return None };
    Some(format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port()))
}

/// `sl: local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`. A busy machine has thousands of lines, so
/// they are searched as one text.
fn inode<'a>(table: &'a str, local: &str, remote: &str) -> Option<&'a str> {
    let found = table.find(&format!(" {local} {remote} "))?;
    let line = table[found..].lines().next()?;
    line.split_ascii_whitespace().nth(8).filter(|inode| *inode != "0")
}

fn holds(pid: u32, socket: &str) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == socket))
}
