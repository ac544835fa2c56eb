//! The holder: a small process that owns a lab's namespaces and does in them what a process outside cannot.
//!
//! It is a child of the process that has the lab, speaks with it over its standard input, and ends when that process ends,
//! however it ends: it sees the socket's end and the parent's pidfd. With it end the namespaces, and with the first process of
//! its process namespace every program that was started in the lab: the kernel sees to that.
//!
//! Rule of this file: one thread. Namespaces belong to threads, and `fork` is sound only so.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid};
use wallsocket_sys::descriptor::{inherited, pidfd_open};
use wallsocket_sys::namespace::{
    Fork, fork, ignore_signals, keep_capabilities, receive_message, send_message,
};
use wallsocket_sys::socket;

use crate::protocol::{LARGEST, Reply, Request};

/// Signals that a terminal or a supervisor sends to a whole group: the lab's owner decides what they mean.
const GROUP_SIGNALS: [i32; 5] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGTSTP,
];

/// How long the holder waits for the lab's programs to be gone after they were killed, in milliseconds.
const END_LIMIT_MS: u16 = 2000;

/// An operation that failed: what was tried and why not.
struct Failure {
    what: String,
    error: io::Error,
}

type Result<T> = std::result::Result<T, Failure>;

/// Adds what was tried to an error.
trait While<T> {
    fn during(self, what: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<io::Error>> While<T> for std::result::Result<T, E> {
    fn during(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|error| Failure {
            what: what.into(),
            error: error.into(),
        })
    }
}

/// One host of the lab.
struct Host {
    network: OwnedFd,
    hosts: String,
    resolver: String,
    /// Made when the first program starts in the host.
    files: Option<Files>,
}

/// The view of the file system that a host's programs have.
struct Files {
    mounts: OwnedFd,
    hosts: Option<File>,
    resolver: Option<File>,
}

/// The first process of the lab's process namespace; its end ends all others in it.
struct First {
    pid: i32,
    processes: OwnedFd,
    mounts: OwnedFd,
}

struct Holder {
    /// The machine's own /proc: later mounts hide it from the path, not from this descriptor.
    proc: OwnedFd,
    /// Absent when the lab stands in plain namespaces, as root.
    user: Option<OwnedFd>,
    mounts: OwnedFd,
    hosts: Vec<Host>,
    first: Option<First>,
}

fn read_only(proc: &OwnedFd, path: &str) -> io::Result<OwnedFd> {
    Ok(openat(
        proc,
        path,
        OFlag::O_RDONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?)
}

fn write_file(directory: &OwnedFd, path: &str, text: &str) -> io::Result<()> {
    let mut file = File::from(openat(
        directory,
        path,
        OFlag::O_WRONLY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?);
    // One write: these files take a value with one call or not at all.
    file.write_all(text.as_bytes())
}

/// Maps the caller's own ids to themselves: programs that refuse to be root, or that look at who they are, see no difference.
fn map_own_ids(proc: &OwnedFd, uid: Uid, gid: Gid) -> Result<()> {
    write_file(proc, "self/uid_map", &format!("{uid} {uid} 1"))
        .during("write /proc/self/uid_map")?;
    write_file(proc, "self/setgroups", "deny").during("write /proc/self/setgroups")?;
    write_file(proc, "self/gid_map", &format!("{gid} {gid} 1")).during("write /proc/self/gid_map")
}

/// The map that gives every id of this user namespace the same number in a new one.
fn identity(map: &str) -> String {
    let rows = map.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (first, _, count) = (words.next()?, words.next()?, words.next()?);
        Some(format!("{first} {first} {count}\n"))
    });
    rows.collect()
}

/// A process that stays in the user namespace the holder leaves, and from there maps all of root's ids into the new one, so that
/// root's programs can become other users. Only from outside may more than one id be mapped (user_namespaces(7)).
struct Mapper {
    pid: i32,
    go: OwnedFd,
}

impl Mapper {
    fn start() -> Result<Self> {
        let (ready, go) = nix::unistd::pipe2(OFlag::O_CLOEXEC).during("make a pipe")?;
        let holder = std::process::id();
        match fork(false).during("fork")? {
            Fork::Parent(pid) => Ok(Self { pid, go }),
            Fork::Child => {
                drop(go);
                let map = || -> io::Result<()> {
                    let maps = (
                        std::fs::read_to_string("/proc/self/uid_map")?,
                        std::fs::read_to_string("/proc/self/gid_map")?,
                    );
                    File::from(ready).read_exact(&mut [0; 1])?;
                    std::fs::write(format!("/proc/{holder}/uid_map"), identity(&maps.0))?;
                    std::fs::write(format!("/proc/{holder}/gid_map"), identity(&maps.1))
                };
                std::process::exit(i32::from(map().is_err()))
            }
        }
    }

    /// Lets it map, and waits; whether it could.
    fn finish(self) -> bool {
        let told = nix::unistd::write(&self.go, b"g").is_ok();
        drop(self.go);
        let pid = nix::unistd::Pid::from_raw(self.pid);
        let status = nix::sys::wait::waitpid(pid, None);
        told && matches!(status, Ok(nix::sys::wait::WaitStatus::Exited(_, 0)))
    }
}

impl Holder {
    fn new() -> Result<Self> {
        let (uid, gid) = (Uid::effective(), Gid::effective());
        let proc = open(
            "/proc",
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .during("open /proc")?;
        let mapper = if uid.is_root() {
            Some(Mapper::start()?)
        } else {
            None
        };
        // One call for each kind: the kernel's answer then says which of them it refuses.
        let private = || unshare(CloneFlags::CLONE_NEWNS);
        let user = match unshare(CloneFlags::CLONE_NEWUSER) {
            Ok(()) => {
                if !mapper.is_some_and(Mapper::finish) {
                    map_own_ids(&proc, uid, gid)?;
                }
                private().during("unshare(CLONE_NEWNS)")?;
                Some(read_only(&proc, "self/ns/user").during("open /proc/self/ns/user")?)
            }
            // Where user namespaces are off, root can do without.
            Err(refusal) if uid.is_root() => {
                private()
                    .map_err(|_| refusal)
                    .during("unshare(CLONE_NEWUSER)")?;
                None
            }
            Err(refusal) => return Err(refusal).during("unshare(CLONE_NEWUSER)"),
        };
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
            .during("make the mounts private")?;
        let mounts = read_only(&proc, "self/ns/mnt").during("open /proc/self/ns/mnt")?;
        Ok(Self {
            proc,
            user,
            mounts,
            hosts: Vec::new(),
            first: None,
        })
    }

    fn host(&self, number: u32) -> Result<&Host> {
        self.hosts.get(number as usize).ok_or_else(|| Failure {
            what: format!("find host {number}"),
            error: io::Error::from_raw_os_error(libc::ENOENT),
        })
    }

    fn join_network(&self, number: u32) -> Result<()> {
        setns(&self.host(number)?.network, CloneFlags::CLONE_NEWNET)
            .during("enter the host's network namespace")
    }

    fn add_host(&mut self, sysctls: &[(String, Vec<String>)]) -> Result<OwnedFd> {
        unshare(CloneFlags::CLONE_NEWNET).during("unshare(CLONE_NEWNET)")?;
        let network = read_only(&self.proc, "self/ns/net").during("open /proc/self/ns/net")?;
        for (name, values) in sysctls {
            let path = sysctl_path(name)?;
            let mut result = Ok(());
            for value in values {
                result = write_file(&self.proc, &path, value);
                if result.is_ok() {
                    break;
                }
            }
            match result {
                // A kernel built without IPv6 has none of its files, and needs none of these.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.during(format!("set {name} to {}", values.join(" or ")))?,
            }
        }
        let netlink = socket::open(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)
            .during("open a rtnetlink socket")?;
        self.hosts.push(Host {
            network,
            hosts: String::new(),
            resolver: String::new(),
            files: None,
        });
        Ok(netlink)
    }

    fn sysctl(&self, number: u32, name: &str, value: Option<&str>) -> Result<String> {
        let path = sysctl_path(name)?;
        self.join_network(number)?;
        if let Some(value) = value {
            write_file(&self.proc, &path, value).during(format!("set {name} to {value:?}"))?;
            return Ok(String::new());
        }
        let mut text = String::new();
        let file = read_only(&self.proc, &path).during(format!("read {name}"))?;
        File::from(file)
            .read_to_string(&mut text)
            .during(format!("read {name}"))?;
        Ok(text.trim_end().to_owned())
    }

    /// Starts the first process of the process namespace, with a file system of its own that shows only its processes.
    fn start_first(&mut self) -> Result<()> {
        if self.first.is_some() {
            return Ok(());
        }
        unshare(CloneFlags::CLONE_NEWPID).during("unshare(CLONE_NEWPID)")?;
        let (ours, theirs) = nix::unistd::pipe2(OFlag::O_CLOEXEC).during("make a pipe")?;
        let pid = match fork(false).during("fork the first process")? {
            Fork::Child => first_process(theirs),
            Fork::Parent(pid) => pid,
        };
        drop(theirs);
        // Without an answer it was killed; the namespaces opened below then do not exist, which says so.
        let mut code = [0; 4];
        if File::from(ours).read_exact(&mut code).is_ok() && code != [0; 4] {
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(code)))
                .during("unshare(CLONE_NEWNS)");
        }
        let processes =
            read_only(&self.proc, &format!("{pid}/ns/pid")).during("open the process namespace")?;
        let mounts =
            read_only(&self.proc, &format!("{pid}/ns/mnt")).during("open the mount namespace")?;
        self.first = Some(First {
            pid,
            processes,
            mounts,
        });
        Ok(())
    }

    /// Makes a host's file system: its own names, its own /sys, the lab's /proc.
    fn make_files(&mut self, number: u32) -> Result<()> {
        self.start_first()?;
        if self.host(number)?.files.is_some() {
            return Ok(());
        }
        let Some(first) = &self.first else {
            return Ok(());
        };
        setns(&first.mounts, CloneFlags::CLONE_NEWNS).during("enter the mount namespace")?;
        let made = self.make_files_inside(number);
        setns(&self.mounts, CloneFlags::CLONE_NEWNS).during("return to the mount namespace")?;
        self.hosts[number as usize].files = Some(made?);
        Ok(())
    }

    fn make_files_inside(&self, number: u32) -> Result<Files> {
        let host = self.host(number)?;
        unshare(CloneFlags::CLONE_NEWNS).during("unshare(CLONE_NEWNS)")?;
        setns(&host.network, CloneFlags::CLONE_NEWNET)
            .during("enter the host's network namespace")?;
        let none: Option<&str> = None;
        let mut files = Files {
            mounts: read_only(&self.proc, "self/ns/mnt").during("open /proc/self/ns/mnt")?,
            hosts: None,
            resolver: None,
        };
        // The files live in memory that no path leads to: mounted here only until they are bound over those of the machine.
        let stage = Path::new("/sys");
        mount(
            Some("tmpfs"),
            stage,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("mode=755"),
        )
        .during("mount a tmpfs")?;
        let bind = |name: &str, text: &str| -> Option<File> {
            let source = stage.join(name);
            let mut file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&source)
                .ok()?;
            file.write_all(text.as_bytes()).ok()?;
            // Follows a symbolic link to where the file really is; a machine without the file has nothing to bind over.
            let target: PathBuf = Path::new("/etc").join(name);
            mount(Some(&source), &target, none, MsFlags::MS_BIND, none).ok()?;
            Some(file)
        };
        files.hosts = bind("hosts", &host.hosts);
        if !host.resolver.is_empty() {
            files.resolver = bind("resolv.conf", &host.resolver);
        }
        umount2(stage, MntFlags::MNT_DETACH).during("unmount the tmpfs")?;
        // Refused where the machine's own /sys is partly hidden, as in containers: programs then see the machine's interfaces there.
        let _ = mount(
            Some("sysfs"),
            stage,
            Some("sysfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
            none,
        );
        Ok(files)
    }

    fn set_names(&mut self, number: u32, hosts: String, resolver: String) -> Result<()> {
        self.host(number)?;
        let host = &mut self.hosts[number as usize];
        if let Some(files) = &mut host.files {
            if let Some(file) = &mut files.hosts {
                rewrite(file, &hosts).during("write /etc/hosts")?;
            }
            match &mut files.resolver {
                Some(file) => rewrite(file, &resolver).during("write /etc/resolv.conf")?,
                // A program that runs already keeps what it has; the next ones get the new view.
                None if !resolver.is_empty() => host.files = None,
                None => {}
            }
        }
        host.hosts = hosts;
        host.resolver = resolver;
        Ok(())
    }

    fn answer(&mut self, request: Request) -> Result<(Reply, Vec<OwnedFd>)> {
        match request {
            Request::Hosts {
                first,
                count,
                sysctls,
            } => {
                self.hosts.truncate(first as usize);
                let mut attached = Vec::new();
                for _ in 0..count {
                    let netlink = self.add_host(&sysctls)?;
                    let network = self.hosts.last().map(|host| host.network.try_clone());
                    attached.extend(network.transpose().during("copy a descriptor")?);
                    attached.push(netlink);
                }
                Ok((Reply::Done, attached))
            }
            Request::Socket {
                host,
                domain,
                kind,
                protocol,
            } => {
                self.join_network(host)?;
                let made = socket::open(domain, kind, protocol)
                    .during(format!("socket({domain}, {kind}, {protocol})"))?;
                Ok((Reply::Done, vec![made]))
            }
            Request::Sysctl { host, name, value } => Ok((
                Reply::Text(self.sysctl(host, &name, value.as_deref())?),
                vec![],
            )),
            Request::OpenProc { host, path } => {
                self.join_network(host)?;
                let found = read_only(&self.proc, &network_file(&path)?)
                    .during(format!("open /proc/{path}"))?;
                Ok((Reply::Done, vec![found]))
            }
            Request::Names {
                host,
                hosts,
                resolver,
            } => {
                self.set_names(host, hosts, resolver)?;
                Ok((Reply::Done, vec![]))
            }
            Request::Enter { host } => {
                self.make_files(host)?;
                let found = self.host(host)?;
                let (Some(files), Some(first)) = (&found.files, &self.first) else {
                    return Ok((
                        Reply::Failed {
                            what: "prepare the host".into(),
                            errno: libc::ENOENT,
                        },
                        vec![],
                    ));
                };
                let parts = [
                    Some(&found.network),
                    Some(&files.mounts),
                    Some(&first.processes),
                    self.user.as_ref(),
                ];
                let copies: io::Result<Vec<OwnedFd>> = parts
                    .into_iter()
                    .flatten()
                    .map(OwnedFd::try_clone)
                    .collect();
                Ok((Reply::Done, copies.during("copy a descriptor")?))
            }
        }
    }

    /// Ends every program of the lab and waits until they are gone, but not for one whose own parent does not take note of its
    /// end: the first process stays until that has happened.
    fn end(self) {
        let Some(first) = self.first else { return };
        let pid = nix::unistd::Pid::from_raw(first.pid);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        if let Ok(ended) = pidfd_open(first.pid) {
            let _ = poll(
                &mut [PollFd::new(ended.as_fd(), PollFlags::POLLIN)],
                END_LIMIT_MS,
            );
        }
    }
}

fn rewrite(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

/// `net.ipv4.ip_forward` as the path under /proc; a part may hold a dot when slashes separate (sysctl(8)).
fn sysctl_path(name: &str) -> Result<String> {
    let path = if name.contains('/') {
        name.to_owned()
    } else {
        name.replace('.', "/")
    };
    let plain = path
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..");
    if plain && path.starts_with("net/") {
        return Ok(format!("sys/{path}"));
    }
    Err(Failure {
        what: format!("find the sysctl {name:?} (a host has those below net.)"),
        error: io::Error::from_raw_os_error(libc::ENOENT),
    })
}

/// The path from /proc to a file that shows a network: those below `net` are of the process that opens them.
fn network_file(path: &str) -> Result<String> {
    let plain = path
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..");
    match path.strip_prefix("net/") {
        Some(_) if plain => Ok(format!("self/{path}")),
        None if plain && path.starts_with("sys/net/") => Ok(path.to_owned()),
        _ => Err(Failure {
            what: format!("open /proc/{path} (a host has net and sys/net)"),
            error: io::Error::from_raw_os_error(libc::ENOENT),
        }),
    }
}

/// The life of the first process: it takes in the orphans, and dies with the holder.
fn first_process(ready: OwnedFd) -> ! {
    let prepared = (|| {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none: Option<&str> = None;
        let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        // Refused where the machine's own /proc is partly hidden, as in containers: programs then see the machine's numbers there.
        let _ = mount(Some("proc"), "/proc", Some("proc"), quiet, none);
        Ok::<(), nix::Error>(())
    })();
    let code = prepared.map_or_else(|error| error as i32, |()| 0);
    if nix::unistd::write(&ready, &code.to_ne_bytes()).is_ok() && code == 0 {
        drop(ready);
        loop {
            // Waits for any child; without one, for the signal that ends everything.
            if nix::sys::wait::waitpid(None, None).is_err() {
                nix::unistd::pause();
            }
        }
    }
    std::process::exit(1)
}

fn serve(control: BorrowedFd<'_>, parent: &OwnedFd, holder: &mut Holder) -> io::Result<()> {
    let mut buffer = vec![0; LARGEST];
    loop {
        let mut waiting = [
            PollFd::new(control, PollFlags::POLLIN),
            PollFd::new(parent.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if waiting[1].any() == Some(true) {
            return Ok(());
        }
        let (length, _) = receive_message(control, &mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let request = postcard::from_bytes(&buffer[..length]);
        let (reply, attached) = match request.map(|request| holder.answer(request)) {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => (failed(&failure), vec![]),
            Err(_) => (
                Reply::Failed {
                    what: "read the request".into(),
                    errno: libc::EBADMSG,
                },
                vec![],
            ),
        };
        if let Err(error) = reply_with(control, &reply, &attached) {
            if attached.is_empty() {
                return Err(error);
            }
            // Not the message but its descriptors are refused: too many are on their way (unix(7), ETOOMANYREFS).
            let failure = Failure {
                what: "pass descriptors".into(),
                error,
            };
            reply_with(control, &failed(&failure), &[])?;
        }
    }
}

fn failed(failure: &Failure) -> Reply {
    Reply::Failed {
        what: failure.what.clone(),
        errno: failure.error.raw_os_error().unwrap_or(libc::EIO),
    }
}

fn reply_with(control: BorrowedFd<'_>, reply: &Reply, attached: &[OwnedFd]) -> io::Result<()> {
    let bytes = postcard::to_stdvec(reply).map_err(io::Error::other)?;
    let raw: Vec<RawFd> = attached.iter().map(AsRawFd::as_raw_fd).collect();
    send_message(control, &bytes, &raw)
}

/// Runs the holder for the process `parent` until that ends or closes the socket on standard input.
pub fn main(parent: i32) -> ExitCode {
    ignore_signals(&GROUP_SIGNALS, true);
    let control = io::stdin();
    let Ok(watch) = pidfd_open(parent) else {
        return ExitCode::FAILURE;
    };
    // Only now is it certain that the pidfd is of the parent and not of a later process with its number.
    if nix::unistd::getppid().as_raw() != parent {
        return ExitCode::FAILURE;
    }
    let mut holder = match Holder::new() {
        Ok(holder) => holder,
        Err(failure) => {
            let _ = reply_with(control.as_fd(), &failed(&failure), &[]);
            return ExitCode::FAILURE;
        }
    };
    let served = reply_with(control.as_fd(), &Reply::Done, &[])
        .and_then(|()| serve(control.as_fd(), &watch, &mut holder));
    holder.end();
    if served.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Starts `command` in a host and ends; the program is a child of this process's parent, which learns its number, or why it
/// could not start, from the descriptor `report`: a line `pid N`, a line `held` when it waits in its namespaces, and a line
/// `errno N WHAT` if it came to nothing.
///
/// Arguments, all but the command numbers: user namespace (-1: none), process, network and mount namespace, `report`, the
/// capabilities to keep as a bit mask, a descriptor whose end of file lets the program begin (-1: it begins at once), then the
/// command.
pub fn enter(arguments: &[CString]) -> ExitCode {
    let numbers: Vec<i64> = arguments
        .iter()
        .take(7)
        .filter_map(|text| text.to_str().ok()?.parse().ok())
        .collect();
    let (&[user, processes, network, mounts, report, mask, hold], Some(command)) =
        (&numbers[..], arguments.get(7..))
    else {
        return ExitCode::FAILURE;
    };
    let Ok(report) = inherited(report as RawFd) else {
        return ExitCode::FAILURE;
    };
    let mut report = File::from(report);
    let namespaces = [user, processes, network, mounts].map(|number| number as RawFd);
    let started = start(namespaces, &mut report, mask as u64, hold as RawFd, command);
    let Err(failure) = started else {
        return ExitCode::SUCCESS;
    };
    let errno = failure.error.raw_os_error().unwrap_or(libc::EIO);
    let _ = report.write_all(format!("errno {errno} {}\n", failure.what).as_bytes());
    ExitCode::FAILURE
}

/// Returns in the starter once the program's process exists, and in that process only if it could not become the program.
fn start(
    [user, processes, network, mounts]: [RawFd; 4],
    report: &mut File,
    mask: u64,
    hold: RawFd,
    command: &[CString],
) -> Result<()> {
    // By name: the directory of the same name in the other mount namespace, which `.` as a descriptor would not be.
    let directory = std::env::current_dir();
    if user >= 0 {
        let user = inherited(user).during("take the user namespace")?;
        setns(user, CloneFlags::CLONE_NEWUSER).during("enter the user namespace")?;
    }
    let [processes, network, mounts] = [processes, network, mounts].map(inherited);
    let (network, mounts) = (
        network.during("take the network namespace")?,
        mounts.during("take the mount namespace")?,
    );
    setns(
        processes.during("take the process namespace")?,
        CloneFlags::CLONE_NEWPID,
    )
    .during("enter the process namespace")?;
    match fork(true).during("fork")? {
        // One write each, here and for an error: starter and program share the pipe.
        Fork::Parent(pid) => {
            return report
                .write_all(format!("pid {pid}\n").as_bytes())
                .during("report the process");
        }
        Fork::Child => {}
    }
    setns(network, CloneFlags::CLONE_NEWNET).during("enter the network namespace")?;
    setns(mounts, CloneFlags::CLONE_NEWNS).during("enter the mount namespace")?;
    if let Ok(directory) = directory {
        std::env::set_current_dir(&directory)
            .during(format!("change to {}", directory.display()))?;
    }
    keep_capabilities(mask).during("keep capabilities")?;
    // Rust's start-up ignores it, and exec would pass that on.
    ignore_signals(&[libc::SIGPIPE], false);
    if hold >= 0 {
        let mut hold = File::from(inherited(hold).during("take the descriptor to wait for")?);
        // Here, and not when the process was made: only now is it in its namespaces.
        report.write_all(b"held\n").during("report the wait")?;
        hold.read_to_end(&mut Vec::new()).during("wait")?;
    }
    let Some(program) = command.first() else {
        return Err(io::Error::from_raw_os_error(libc::ENOENT)).during("execute nothing");
    };
    let Err(error) = nix::unistd::execvp(program, command);
    Err(error).during("execute")
}
