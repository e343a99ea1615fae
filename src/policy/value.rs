//! Single values of documents: names, DNs, GUIDs, globs, durations, SKUs, digests, addresses.

use std::borrow::Cow;
use std::path::PathBuf;

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use url::{Host, Url};

use crate::model::digest::Digest;
use crate::model::dn::Dn;
use crate::model::duration::Seconds;
use crate::model::guid::Guid;
use crate::model::text::{Text, fold};
use crate::policy::fleet::{AccountPattern, EntraGroupName, GroupName, OuName, SkuName};
use crate::policy::read::{Read, Value, Wrong, read_value};
use crate::policy::source::Ledger;
use crate::policy::yaml::{Meaning, Node, Scalar};

/// Longer values are refused: no name, address or path of a document comes near.
const LONGEST: usize = 4_096;

/// The longest displayName that a group of a tenant can have.
const LONGEST_DISPLAY_NAME: usize = 256;

/// A name: of an object, a directory, a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub Text);
/// A distinguished name.
#[derive(Debug, Clone)]
pub struct DnValue(pub Dn);
/// An OU.
#[derive(Debug, Clone)]
pub struct Ou(pub OuName);
/// A group.
#[derive(Debug, Clone)]
pub struct Group(pub GroupName);
/// A group of the tenant.
#[derive(Debug, Clone)]
pub struct EntraGroup(pub EntraGroupName);
/// One RDN.
#[derive(Debug, Clone)]
pub struct Rdn(pub Dn);
/// Accounts, perhaps by a pattern.
#[derive(Debug, Clone)]
pub struct Accounts(pub AccountPattern);
/// One account.
#[derive(Debug, Clone)]
pub struct OneAccount(pub AccountPattern);
/// A duration.
#[derive(Debug, Clone, Copy)]
pub struct Duration(pub Seconds);
/// A SKU or service plan.
#[derive(Debug, Clone)]
pub struct Sku(pub SkuName);
/// A digest.
#[derive(Debug, Clone, Copy)]
pub struct DigestValue(pub Digest);
/// A day.
#[derive(Debug, Clone, Copy)]
pub struct Day(pub Date);
/// A GUID.
#[derive(Debug, Clone, Copy)]
pub struct GuidValue(pub Guid);
/// A tenant: a domain or an id.
#[derive(Debug, Clone)]
pub struct TenantId(pub String);
/// A DNS domain, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(pub Text);
/// A server's name in DNS, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(pub Text);
/// A Kerberos realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(pub Text);
/// A directory server.
#[derive(Debug, Clone)]
pub struct LdapUrl(pub Address);
/// A web service.
#[derive(Debug, Clone)]
pub struct HttpUrl(pub Address);
/// The name of an environment variable.
#[derive(Debug, Clone)]
pub struct EnvName(pub String);
/// An absolute path.
#[derive(Debug, Clone)]
pub struct AbsolutePath(pub PathBuf);
/// A path relative to the file that names it.
#[derive(Debug, Clone)]
pub struct RelativePath(pub PathBuf);
/// A short piece of text that is stored: an id in another system, a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub Text);

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// As it was written.
    pub written: String,
    /// Folded scheme.
    pub scheme: String,
    /// Folded host, IPv6 in brackets.
    pub host: String,
    /// The port, also where it is the scheme's own.
    pub port: u16,
    /// Whether it is this machine.
    pub is_loopback: bool,
}

/// Returns the text of a scalar that is text.
fn text(scalar: &Scalar) -> Result<&str, Wrong> {
    if scalar.meaning() != Meaning::Text {
        return Err(Wrong::new(""));
    }
    let text = scalar.text.as_str();
    if text.trim().is_empty() {
        return Err(Wrong::new("this text is empty"));
    }
    if text.len() > LONGEST {
        return Err(Wrong::new(format!("this text is longer than {LONGEST} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::new("this text holds control characters"));
    }
    if text.trim() != text {
        return Err(Wrong::new("this text begins or ends with a blank"));
    }
    Ok(text)
}

fn dn(written: &str) -> Result<Dn, Wrong> {
    Dn::parse(written).map_err(|error| {
        let mut wrong = Wrong::new(format!("malformed DN: {error}"));
        wrong.at = error.at.min(written.len());
        if !written.contains('=') {
            wrong.help = Some(format!("did you mean `OU={written}`?"));
        }
        wrong
    })
}

/// Reads a GUID with hyphens: 8-4-4-4-12 hex digits. `None`: the text is none, nor tries to be.
fn guid(written: &str) -> Option<Result<Guid, Wrong>> {
    let bare = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(written);
    let others = bare.bytes().filter(|byte| !byte.is_ascii_hexdigit() && *byte != b'-').count();
    let hyphens = bare.matches('-').count();
    if hyphens != 4 || bare.len() < 30 || others > 2 {
        return None;
    }
    let parts: Vec<usize> = bare.split('-').map(str::len).collect();
    if parts == [8, 4, 4, 4, 12]
        && others == 0
        && let Ok(guid) = bare.parse()
    {
        return Some(Ok(guid));
    }
    Some(Err(malformed_guid()))
}

fn malformed_guid() -> Wrong {
    Wrong::new("malformed GUID")
        .help("write 8-4-4-4-12 hex digits, as in `00000000-0000-0000-0000-000000000000`")
}

impl Value for Name {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let text = text(scalar)?;
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edges = !text.starts_with('-') && !text.ends_with('-') && !text.contains("--");
        if text.len() <= 63 && text.bytes().all(valid) && edges {
            return Ok(Self(Text::from(text)));
        }
        let mut proposal: String = text
            .to_lowercase()
            .chars()
            .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
            .take(63)
            .collect();
        while proposal.contains("--") {
            proposal = proposal.replace("--", "-");
        }
        let proposal = proposal.trim_matches('-');
        let wrong = Wrong::new(
            "malformed name: use up to 63 small letters, digits and single hyphens, with a letter or digit at both ends",
        );
        Err(if proposal.is_empty() { wrong } else { wrong.help(format!("did you mean `{proposal}`?")) })
    }
}

impl Value for DnValue {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        dn(text(scalar)?).map(Self)
    }
}

impl Value for Ou {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        Ok(Self(OuName { written: Text::from(written), dn: dn(written)? }))
    }
}

impl Ou {
    /// Reads an OU as an entry in quotes names it; `None` for text that names none.
    pub fn quoted(written: &str) -> Option<OuName> {
        Some(Self::from_scalar(&quoted(written)).ok()?.0)
    }
}

impl Group {
    /// Reads a group as an entry in quotes names it; `None` for text that names none.
    pub fn quoted(written: &str) -> Option<GroupName> {
        Some(Self::from_scalar(&quoted(written)).ok()?.0)
    }
}

fn quoted(written: &str) -> Scalar {
    Scalar { text: written.to_owned(), plain: false }
}

impl Value for Rdn {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let name = dn(text(scalar)?)?;
        if name.parent_key().is_some() {
            return Err(Wrong::new("this is more than one RDN").help(
                "name the container alone, as in `CN=Users`; it is looked for directly under the domain",
            ));
        }
        Ok(Self(name))
    }
}

impl Value for Group {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        if let Some(guid) = guid(written) {
            return guid.map(|guid| Self(GroupName::Guid(guid)));
        }
        // No sAMAccountName holds an equals sign ([MS-ADTS] 3.1.1.6).
        if written.contains('=') {
            return dn(written).map(|dn| Self(GroupName::Dn(dn)));
        }
        if written.contains(['*', '?']) {
            return Err(Wrong::new("a group is named exactly, without wildcards"));
        }
        Ok(Self(GroupName::Name(Text::from(written))))
    }
}

impl Value for EntraGroup {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        if let Some(guid) = guid(written) {
            return guid.map(|guid| Self(EntraGroupName::Id(guid)));
        }
        if written.chars().count() > LONGEST_DISPLAY_NAME {
            return Err(Wrong::new(format!(
                "a group's displayName has {LONGEST_DISPLAY_NAME} characters at most"
            )));
        }
        if written.contains(['*', '?']) {
            return Err(Wrong::new("a group is named exactly, without wildcards"));
        }
        Ok(Self(EntraGroupName::Name(Text::from(written))))
    }
}

impl Value for Accounts {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        if let Some(guid) = guid(written) {
            return guid.map(|guid| Self(AccountPattern::Guid(guid)));
        }
        if written.contains(['=', ',']) {
            return Err(Wrong::new("an account is not named by its DN here")
                .help("write its userPrincipalName, sAMAccountName or objectGUID"));
        }
        // Neither name may hold these, so somebody expects them to mean something.
        if let Some(at) = written.find(['[', ']', '"', '/', '\\', ':', ';', '|', '<', '>']) {
            let mut wrong = Wrong::new("malformed pattern: no account name holds this character")
                .help("`*` stands for any characters and `?` for one; nothing else is special");
            wrong.at = at;
            return Err(wrong);
        }
        let folded = Text::from(fold(written).as_ref());
        if !written.contains(['*', '?']) {
            return Ok(Self(AccountPattern::Name(folded)));
        }
        if written.chars().all(|character| matches!(character, '*' | '?' | '@' | '.')) {
            return Err(Wrong::new("malformed pattern: it fits every account").help("add a part of the name"));
        }
        let pattern = wildmatch::WildMatch::new(&folded);
        Ok(Self(AccountPattern::Glob { written: folded, pattern }))
    }
}

impl Value for OneAccount {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match Accounts::from_scalar(scalar)?.0 {
            AccountPattern::Glob { .. } => {
                Err(Wrong::new("this entry is about one account, and takes no wildcards"))
            }
            account => Ok(Self(account)),
        }
    }
}

impl Value for Duration {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        if matches!(scalar.meaning(), Meaning::Truth(_)) {
            return Err(Wrong::new(""));
        }
        scalar.text.parse().map(Self).map_err(|_| {
            Wrong::new("malformed duration")
                .help("write a whole number and one of s, m, h, d, as in `30s`, `15m`, `3h` or `7d`")
        })
    }
}

impl Value for Sku {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        if let Some(guid) = guid(written) {
            return guid.map(|guid| Self(SkuName::Id(guid)));
        }
        // Part numbers hold more than capitals: `Microsoft_365_E3_(no_Teams)`.
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-()./&+".contains(&byte);
        if written.bytes().all(valid) && written.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Ok(Self(SkuName::Name(Text::from(written))));
        }
        Err(Wrong::new("malformed SKU").help(
            "write the part number as in `SPE_E3`, or the id, and not the product's name as shops show it",
        ))
    }
}

impl Value for DigestValue {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        text(scalar)?.parse().map(Self).map_err(|_| {
            Wrong::new("malformed digest").help("copy it from the plan: `sha256:` and 64 hex digits")
        })
    }
}

impl Value for Day {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        let wrong = || Wrong::new("malformed date").help("write year, month and day, as in `2027-01-31`");
        if written.len() != 10 {
            return Err(wrong());
        }
        written.parse().map(Self).map_err(|_| wrong())
    }
}

impl Value for GuidValue {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        match guid(text(scalar)?) {
            Some(guid) => guid.map(Self),
            None => Err(malformed_guid()),
        }
    }
}

impl Value for TenantId {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        if let Some(guid) = guid(written) {
            return guid.map(|guid| Self(guid.to_string()));
        }
        match domain(written) {
            Some(domain) => Ok(Self(domain.to_string())),
            None => Err(Wrong::new(
                "malformed tenant: write a verified domain, as in `contoso.com`, or the tenant's id",
            )),
        }
    }
}

/// Returns a DNS domain of two labels at least, folded.
fn domain(written: &str) -> Option<Text> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|character| character.is_alphanumeric() || matches!(character, '-' | '_'))
    };
    let valid = written.len() <= 253 && written.contains('.') && written.split('.').all(label);
    valid.then(|| Text::from(fold(written).as_ref()))
}

impl Value for Domain {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        domain(written).map(Self).ok_or_else(|| {
            let wrong = Wrong::new("malformed suffix: write what stands behind the `@`, as in `contoso.com`");
            match written.strip_prefix('@').and_then(domain) {
                Some(suffix) => wrong.help(format!("did you mean `{suffix}`?")),
                None => wrong,
            }
        })
    }
}

impl Value for HostName {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        let is_address = written.parse::<std::net::IpAddr>().is_ok();
        domain(written).filter(|_| !is_address).map(Self).ok_or_else(|| {
            Wrong::new("malformed host name").help("write the server's whole name, as in `dc1.contoso.test`")
        })
    }
}

impl Value for Realm {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        let wrong =
            || Wrong::new("malformed realm").help("write the domain in capitals, as in `CONTOSO.TEST`");
        if domain(written).is_none() {
            return Err(wrong());
        }
        // Case counts for Kerberos, and Active Directory knows its realm in capitals alone.
        let capitals = written.to_uppercase();
        if capitals != written {
            return Err(wrong().help(format!("did you mean `{capitals}`?")));
        }
        Ok(Self(Text::from(written)))
    }
}

/// Reads the address of a server: a scheme, a host and perhaps a port, and nothing else.
fn address(written: &str, schemes: &[(&str, u16)], example: &str) -> Result<Address, Wrong> {
    let known = || schemes.iter().map(|(scheme, _)| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
    let url = Url::parse(written).map_err(|error| {
        Wrong::new(format!("malformed address: {error}")).help(format!("write it as in `{example}`"))
    })?;
    let Some((_, usual)) = schemes.iter().find(|(scheme, _)| *scheme == url.scheme()) else {
        return Err(Wrong::new(format!("an address here begins with {}", known()))
            .help(format!("write it as in `{example}`")));
    };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(
            Wrong::new("malformed address: the host is missing").help(format!("write it as in `{example}`"))
        );
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new("an address holds no user and no password"));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new("an address here is a scheme, a host and perhaps a port, and nothing else")
            .help(format!("write it as in `{example}`")));
    }
    let host = fold(host).into_owned();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    // The host of a scheme that the web does not know is opaque text, also where it is an address.
    let is_loopback = match (url.host(), bare.parse::<std::net::IpAddr>()) {
        (_, Ok(address)) => address.is_loopback(),
        (Some(Host::Ipv4(address)), _) => address.is_loopback(),
        (Some(Host::Ipv6(address)), _) => address.is_loopback(),
        _ => host == "localhost",
    };
    let port = url.port().unwrap_or(*usual);
    Ok(Address {
        written: written.trim_end_matches('/').to_owned(),
        scheme: url.scheme().to_owned(),
        host,
        port,
        is_loopback,
    })
}

impl Value for LdapUrl {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let schemes = [("ldaps", 636), ("ldap", 389)];
        address(text(scalar)?, &schemes, "ldaps://dc1.contoso.test").map(Self)
    }
}

impl Value for HttpUrl {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let schemes = [("https", 443), ("http", 80)];
        address(text(scalar)?, &schemes, "https://graph.microsoft.com").map(Self)
    }
}

impl Value for EnvName {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if written.bytes().all(valid) && !written.starts_with(|first: char| first.is_ascii_digit()) {
            return Ok(Self(written.to_owned()));
        }
        Err(Wrong::new("malformed name of an environment variable")
            .help("use letters, digits and `_`, without `$`"))
    }
}

impl Value for AbsolutePath {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        if !written.starts_with('/') {
            return Err(Wrong::new("the path of a secret must be absolute").help("begin it with `/`"));
        }
        if written.split('/').any(|part| part == "..") {
            return Err(Wrong::new("the path of a secret holds no `..`"));
        }
        Ok(Self(PathBuf::from(written)))
    }
}

impl Value for RelativePath {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        let written = text(scalar)?;
        if written.contains('\\') {
            return Err(Wrong::new("folders are separated by `/`")
                .help(format!("did you mean `{}`?", written.replace('\\', "/"))));
        }
        if written.starts_with('/') {
            return Err(
                Wrong::new("this path is absolute").help("paths are relative to this file, inside the tree")
            );
        }
        Ok(Self(PathBuf::from(written)))
    }
}

impl Value for Word {
    fn from_scalar(scalar: &Scalar) -> Result<Self, Wrong> {
        text(scalar).map(|text| Self(Text::from(text)))
    }
}

/// Gives a value its reader and its part of the schema.
macro_rules! values {
    ($($name:ident: $expected:literal, {$($schema:tt)+};)*) => {$(
        impl Read for $name {
            fn read(node: &Node, ledger: &mut Ledger) -> Option<Self> {
                read_value(node, $expected, ledger)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({$($schema)+})
            }
        }
    )*};
}

values! {
    Name: "text", {
        "type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$",
        "description": "Small letters, digits and single hyphens.", "examples": ["contoso", "contoso-eu"]
    };
    DnValue: "text", {
        "type": "string", "pattern": "^[^=,]+=.+$",
        "description": "A distinguished name (RFC 4514).", "examples": ["DC=contoso,DC=test"]
    };
    Ou: "text", {
        "type": "string", "pattern": "^[^=,]+=.+$",
        "description": "An OU. With a DC component it is absolute, else relative to the base DN.",
        "examples": ["OU=Staff", "OU=Staff,DC=contoso,DC=test"]
    };
    Rdn: "text", {
        "type": "string", "pattern": "^[^=,]+=.+$",
        "description": "One container directly under the domain.", "examples": ["CN=Users"]
    };
    Group: "text", {
        "type": "string", "minLength": 1,
        "description": "A group by its sAMAccountName or cn, its DN, or its objectGUID.",
        "examples": ["Intake Users", "CN=Intake Users,OU=Groups,DC=contoso,DC=test"]
    };
    EntraGroup: "text", {
        "type": "string", "minLength": 1, "maxLength": 256,
        "description": "A security group of the tenant by its displayName or its id.",
        "examples": ["Intake Users"]
    };
    Accounts: "text", {
        "type": "string", "minLength": 1, "pattern": "^[^=,\\[\\]\"/\\\\:;|<>]+$",
        "description": "An account by its userPrincipalName, sAMAccountName or objectGUID. In the names `*` stands for any characters and `?` for one.",
        "examples": ["svc-*", "fax@contoso.test"]
    };
    OneAccount: "text", {
        "type": "string", "minLength": 1, "pattern": "^[^=,\\[\\]\"/\\\\:;|<>*?]+$",
        "description": "One account by its userPrincipalName, sAMAccountName or objectGUID.",
        "examples": ["jane@contoso.test"]
    };
    Duration: "a duration", {
        "type": "string", "pattern": "^[0-9]+[smhd]$",
        "description": "A whole number and a unit: s, m, h or d.", "examples": ["30s", "15m", "3h", "7d"]
    };
    Sku: "text", {
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_()./&+-]*$",
        "description": "A licence by its skuPartNumber or skuId, a service plan by its name or id.",
        "examples": ["SPE_E3", "O365_BUSINESS_PREMIUM"]
    };
    DigestValue: "text", {
        "type": "string", "pattern": "^sha256:[0-9A-Fa-f]{64}$",
        "description": "A digest as a plan shows it: `sha256:` and 64 hex digits."
    };
    Day: "text", {
        "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        "description": "A day.", "examples": ["2027-01-31"]
    };
    GuidValue: "text", {
        "type": "string",
        "pattern": "^\\{?[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\\}?$",
        "description": "A GUID.", "examples": ["00000000-0000-0000-0000-000000000000"]
    };
    TenantId: "text", {
        "type": "string", "pattern": "^([^ .]+(\\.[^ .]+)+|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$",
        "description": "A tenant by a verified domain or by its id.", "examples": ["contoso.com"]
    };
    Domain: "text", {
        "type": "string", "pattern": "^[^ .@]+(\\.[^ .@]+)+$",
        "description": "What stands behind the `@` of a name.", "examples": ["contoso.com"]
    };
    HostName: "text", {
        "type": "string", "pattern": "^[^ .@/]+(\\.[^ .@/]+)+$",
        "description": "A server's whole name.", "examples": ["dc1.contoso.test"]
    };
    Realm: "text", {
        "type": "string", "pattern": "^[^ .@/a-z]+(\\.[^ .@/a-z]+)+$",
        "description": "A Kerberos realm: the domain in capitals.", "examples": ["CONTOSO.TEST"]
    };
    LdapUrl: "text", {
        "type": "string", "pattern": "^[Ll][Dd][Aa][Pp][Ss]?://[^/@?#]+/?$",
        "description": "A directory server.", "examples": ["ldaps://dc1.contoso.test"]
    };
    HttpUrl: "text", {
        "type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/@?#]+/?$",
        "description": "A web service: scheme, host and perhaps port.", "examples": ["https://graph.microsoft.com"]
    };
    EnvName: "text", {
        "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
        "description": "An environment variable.", "examples": ["INTAKE_SECRET_CONTOSO__LDAP"]
    };
    AbsolutePath: "text", {
        "type": "string", "pattern": "^/", "description": "An absolute path.",
        "examples": ["/run/secrets/contoso/graph"]
    };
    RelativePath: "text", {
        "type": "string", "pattern": "^[^/\\\\][^\\\\]*$",
        "description": "A path relative to this file, inside the tree.", "examples": ["ca.pem"]
    };
    Word: "text", {"type": "string", "minLength": 1};
}
