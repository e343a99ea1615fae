//! A real OpenLDAP server with a small Active Directory schema.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::certificates::Certificates;
use crate::support::intake::PATIENCE;
use crate::support::process::{Process, free_port, listens, run, run_with_input, wait_for};

/// Who may read everything.
pub const READER: &str = "cn=reader,dc=contoso,dc=test";
/// The password of the reader and of the administrator.
pub const PASSWORD: &str = "correct horse";
/// The suffix that is served.
pub const SUFFIX: &str = "dc=contoso,dc=test";

const ADMINISTRATOR: &str = "cn=admin,dc=contoso,dc=test";

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct SlapdOptions {
    /// What the reader may see of a search (slapd.conf(5), `limits`).
    pub limits: String,
    /// The names in its certificate; with none, it does not encrypt.
    pub certificate: Vec<&'static str>,
    /// Whether its certificate has expired.
    pub expired: bool,
    /// Further lines of the database's configuration.
    pub database: String,
}

impl Default for SlapdOptions {
    fn default() -> Self {
        Self {
            limits: "size=unlimited size.prtotal=unlimited time=unlimited".to_owned(),
            certificate: Vec::new(),
            expired: false,
            database: "access to attrs=userPassword by anonymous auth by * none\naccess to * by users read by anonymous auth\n".to_owned(),
        }
    }
}

/// A running server. It ends when this is dropped, or when the test program ends.
pub struct Slapd {
    process: Process,
    folder: TempDir,
    port: u16,
    tls_port: u16,
    certificates: Option<Certificates>,
}

impl Slapd {
    /// Loads entries and starts a server with them. The reader's own entry is added.
    pub fn start(ldif: &str, options: &SlapdOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("intake-slapd-").tempdir().expect("a folder");
        let path = folder.path();
        std::fs::create_dir(path.join("data")).expect("a folder");
        let certificates = (!options.certificate.is_empty())
            .then(|| Certificates::make(path, &options.certificate, options.expired));
        let schema = path.join("active_directory.schema");
        std::fs::write(&schema, include_str!("active_directory.schema")).expect("written");
        let configuration = configuration(path, &schema, certificates.as_ref(), options);
        let configuration_file = path.join("slapd.conf");
        std::fs::write(&configuration_file, configuration).expect("written");

        let entries = path.join("entries.ldif");
        let reader = format!(
            "dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: {PASSWORD}\n\n"
        );
        std::fs::write(&entries, format!("{ldif}{reader}")).expect("written");
        run(Command::new("slapadd").arg("-q").arg("-f").arg(&configuration_file).arg("-l").arg(&entries));

        let (port, tls_port) = (free_port(), free_port());
        let urls = match certificates {
            Some(_) => format!("ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/"),
            None => format!("ldap://127.0.0.1:{port}/"),
        };
        let file = configuration_file.to_string_lossy();
        // With -d it stays in the foreground.
        let process = Process::start("slapd", &["-d", "0", "-f", &file, "-h", &urls], path);
        wait_for(&process, path, PATIENCE, || listens(Ipv4Addr::LOCALHOST, port));
        Self { process, folder, port, tls_port, certificates }
    }

    /// Returns the plain URL.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// Returns the encrypted URL, under a name of the caller's choice.
    pub fn tls_url(&self, host: &str) -> String {
        format!("ldaps://{host}:{}", self.tls_port)
    }

    /// Returns the plain URL under a name of the caller's choice.
    pub fn url_as(&self, host: &str) -> String {
        format!("ldap://{host}:{}", self.port)
    }

    /// Returns the certificate of the authority that vouches for the server.
    pub fn authority(&self) -> PathBuf {
        self.certificates.as_ref().expect("a server that encrypts").authority.clone()
    }

    /// Returns a folder that lives as long as the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server at once.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Adds, changes or deletes entries, as `changetype` says.
    pub fn modify(&self, ldif: &str) {
        let mut command = Command::new("ldapmodify");
        command.args(["-x", "-H", &self.url(), "-D", ADMINISTRATOR, "-w", PASSWORD]);
        run_with_input(&mut command, ldif);
    }

    /// Runs `ldapsearch` as the reader and returns what it printed.
    pub fn search(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("ldapsearch");
        command.args(["-x", "-H", &self.url(), "-D", READER, "-w", PASSWORD, "-b", SUFFIX]);
        run(command.args(arguments))
    }
}

fn configuration(
    path: &Path,
    schema: &Path,
    certificates: Option<&Certificates>,
    options: &SlapdOptions,
) -> String {
    let path = path.display();
    let encryption = certificates.map_or_else(String::new, |files| {
        format!(
            "TLSCertificateFile {}\nTLSCertificateKeyFile {}\nTLSCACertificateFile {}\n",
            files.server.display(),
            files.key.display(),
            files.authority.display()
        )
    });
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include {schema}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {path}/pid
threads 4
{encryption}
database mdb
suffix \"{SUFFIX}\"
rootdn \"{ADMINISTRATOR}\"
rootpw \"{PASSWORD}\"
directory {path}/data
maxsize 4294967296
dbnosync
index objectClass eq
limits dn.exact=\"{READER}\" {limits}
{database}",
        schema = schema.display(),
        limits = options.limits,
        database = options.database,
    )
}
