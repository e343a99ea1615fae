//! A real Active Directory domain controller: Samba's.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::certificates::Certificates;
use crate::support::process::{Process, free_address, run, run_with_input, wait_for};

/// As whom everything may be done.
pub const ADMINISTRATOR: &str = "administrator@contoso.test";
/// The administrator's password.
pub const PASSWORD: &str = "Correct-horse-1";
/// The domain's naming context.
pub const BASE: &str = "DC=contoso,DC=test";

/// Samba has no settings for these: LDAP's, and Kerberos's.
const PORTS: [u16; 6] = [389, 636, 3268, 3269, 88, 464];

/// A running domain controller. It ends when this is dropped, or when the test program ends.
pub struct Samba {
    process: Process,
    folder: TempDir,
    address: Ipv4Addr,
    certificates: Certificates,
}

impl Samba {
    /// Makes a new domain and starts its controller on a loopback address of its own.
    pub fn start() -> Self {
        Self::with_services("ldap")
    }

    /// Makes a new domain whose controller also answers Kerberos.
    pub fn with_kerberos() -> Self {
        Self::with_services("ldap, cldap, kdc")
    }

    fn with_services(services: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("intake-samba-").tempdir().expect("a folder");
        let path = folder.path().to_string_lossy().into_owned();
        let address = free_address(&PORTS);
        let written_address = address.to_string();
        std::fs::create_dir_all(folder.path().join("etc")).expect("a folder");
        // The system's Python, by path: another one first in the search path does not know Samba.
        run(Command::new("/usr/bin/python3").args([
            "-c",
            include_str!("provision.py"),
            &path,
            "CONTOSO.TEST",
            "CONTOSO",
            &written_address,
            PASSWORD,
        ]));
        let certificates = Certificates::make(folder.path(), &["dc1.contoso.test", &written_address], false);
        let configuration = format!(
            "[global]
netbios name = DC1
workgroup = CONTOSO
realm = CONTOSO.TEST
server role = active directory domain controller
server services = {services}
private dir = {path}/private
state directory = {path}/state
cache directory = {path}/cache
lock directory = {path}
pid directory = {path}
ncalrpc dir = {path}/ncalrpc
binddns dir = {path}/bind-dns
log file = {path}/log.samba
interfaces = {address}/8
bind interfaces only = yes
ldap server require strong auth = no
ldb:nosync = yes
tls enabled = yes
tls keyfile = {key}
tls certfile = {server}
tls cafile = {authority}
",
            key = certificates.key.display(),
            server = certificates.server.display(),
            authority = certificates.authority.display(),
        );
        let file = folder.path().join("smb.conf");
        std::fs::write(&file, configuration).expect("written");
        let file = file.to_string_lossy();
        let arguments = ["-F", "--no-process-group", "-M", "single", "-s", &file];
        let process = Process::start("samba", &arguments, folder.path());
        wait_for(&process, folder.path(), Duration::from_secs(60), || {
            let url = format!("ldap://{address}");
            Command::new("ldapsearch")
                .args(["-x", "-LLL", "-H", &url, "-s", "base", "-b", "", "defaultNamingContext"])
                .output()
                .is_ok_and(|output| output.status.success())
        });
        Self { process, folder, address, certificates }
    }

    /// Returns a domain controller that several tests read from. Whoever writes to it writes below an
    /// OU of their own.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Samba> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Returns its folder, for files that are to go with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Returns the plain URL.
    pub fn url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// Returns the encrypted URL.
    pub fn tls_url(&self) -> String {
        format!("ldaps://{}", self.address)
    }

    /// Returns the certificate of the authority that vouches for the server.
    pub fn authority(&self) -> PathBuf {
        self.certificates.authority.clone()
    }

    /// Kills the server at once.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Adds, changes or deletes objects over LDAP, as `changetype` says.
    pub fn modify(&self, ldif: &str) {
        let mut command = Command::new("ldapmodify");
        command.args(["-x", "-H", &self.url(), "-D", ADMINISTRATOR, "-w", PASSWORD]);
        run_with_input(&mut command, ldif);
    }

    /// Adds many objects straight to the database, in the running server's back: ten times as fast.
    pub fn load(&self, ldif: &str) {
        let entries = self.folder.path().join("entries.ldif");
        std::fs::write(&entries, ldif).expect("written");
        let configuration = format!("--configfile={}/smb.conf", self.folder.path().display());
        let told = run(Command::new("ldbadd")
            .args(["--nosync", "-o", "batch_mode:1", "-H"])
            .arg(self.folder.path().join("private/sam.ldb"))
            .arg(configuration)
            .arg(&entries));
        // It ends well, too, after the first entry that it could not add.
        let wanted = ldif.lines().filter(|line| line.starts_with("dn:")).count();
        assert!(told.contains(&format!("Added {wanted} records")), "{wanted} wanted: {told}");
    }

    /// Runs commands of `administration.py`, with `then` between them.
    pub fn administer(&self, arguments: &[&str]) {
        run(Command::new("/usr/bin/python3")
            .args(["-c", include_str!("administration.py")])
            .arg(self.folder.path())
            .args(arguments));
    }

    /// Runs `ldapsearch` as the administrator and returns what it printed.
    pub fn search(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("ldapsearch");
        command.args([
            "-x",
            "-LLL",
            "-o",
            "ldif-wrap=no",
            "-H",
            &self.url(),
            "-D",
            ADMINISTRATOR,
            "-w",
            PASSWORD,
        ]);
        run(command.args(arguments))
    }
}
