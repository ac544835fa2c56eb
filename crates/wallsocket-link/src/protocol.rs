//! What a lab and its holder say to each other: one message a request, one a reply, descriptors attached to the reply.

use serde::{Deserialize, Serialize};

/// Largest message either side sends.
pub(crate) const LARGEST: usize = 1 << 16;

/// Most hosts one request makes: each comes with two descriptors.
pub(crate) const HOSTS_PER_REQUEST: u32 = 100;

/// What the lab asks of the holder. Hosts are numbered from 0 in the order they were made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Makes network namespaces, each with these sysctls (the first value of each list that the kernel takes).
    /// Attached to the reply, per host: the namespace and a rtnetlink socket in it. `first` is the number of the first one: hosts
    /// from there on that an earlier request made are forgotten, for their descriptors did not arrive.
    Hosts {
        first: u32,
        count: u32,
        sysctls: Vec<(String, Vec<String>)>,
    },
    /// Makes a socket in a host; attached to the reply.
    Socket {
        host: u32,
        domain: i32,
        kind: i32,
        protocol: i32,
    },
    /// Reads a sysctl of a host's network, or writes it.
    Sysctl {
        host: u32,
        name: String,
        value: Option<String>,
    },
    /// Opens a file below /proc/net or /proc/sys/net for reading, as a process of the host sees it; attached to the reply.
    OpenProc { host: u32, path: String },
    /// Text of /etc/hosts and /etc/resolv.conf for the programs of a host; an empty resolver leaves the machine's file in place.
    Names {
        host: u32,
        hosts: String,
        resolver: String,
    },
    /// What a program needs to start in a host. Attached: network, mount and process namespace, and the user namespace if there is one.
    Enter { host: u32 },
}

/// What the holder answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// The value that was asked for.
    Text(String),
    /// It could not be done: what was tried and the kernel's error number.
    Failed { what: String, errno: i32 },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_way() {
        let request = Request::Sysctl {
            host: 3,
            name: "net.ipv4.ip_forward".into(),
            value: Some("1".into()),
        };
        let bytes = postcard::to_stdvec(&request).expect("encode");
        assert_eq!(
            postcard::from_bytes::<Request>(&bytes).expect("decode"),
            request
        );
    }

    #[test]
    fn a_cut_request_is_an_error() {
        let bytes = postcard::to_stdvec(&Request::Enter { host: 300 }).expect("encode");
        assert!(postcard::from_bytes::<Request>(&bytes[..bytes.len() - 1]).is_err());
    }
}
