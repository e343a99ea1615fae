//! Takes pages of entries apart in a thread of its own, while the next page arrives.

use lber::structure::{PL, StructureTag};
use ldap3::ResultEntry;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use url::Url;

use crate::adapters::directory_object::{Entry, Obstacle, PartialGroup, shown};
use crate::adapters::ldap_connection::entry_parts;
use crate::adapters::ldap_fault::{Failure, transient};
use crate::model::directory::DirectoryBuilder;
use crate::model::dn::Dn;
use crate::model::reading::Shortfall;
use crate::model::text::Text;

/// How many pages may wait to be taken apart: enough to keep both sides busy, few enough to keep
/// memory small.
const WAITING_PAGES: usize = 2;

/// What the pages of a reading's searches hold so far.
pub struct Harvest {
    /// The directory as far as it was read.
    pub builder: DirectoryBuilder,
    /// Groups of which more members are to be fetched.
    pub partial: Vec<PartialGroup>,
    /// Whether the object that the search begins at was among the entries.
    pub saw_base: bool,
    /// Whether everything below the base is there, and the pages are of the domain's groups.
    pub elsewhere: bool,
    url: String,
    base: Dn,
    naming_context: Dn,
    read: usize,
}

/// The thread that takes pages apart.
pub struct Harvester {
    pages: mpsc::Sender<Vec<ResultEntry>>,
    work: JoinHandle<Result<Harvest, Failure>>,
}

impl Harvester {
    /// Starts the thread. It ends with the pages: when this is finished, or dropped.
    pub fn start(mut harvest: Harvest) -> Self {
        let (pages, mut arriving) = mpsc::channel::<Vec<ResultEntry>>(WAITING_PAGES);
        let work = tokio::task::spawn_blocking(move || {
            while let Some(page) = arriving.blocking_recv() {
                harvest.take(&page)?;
            }
            Ok(harvest)
        });
        Self { pages, work }
    }

    /// Hands over a page.
    ///
    /// # Errors
    /// What was wrong with an earlier one.
    pub async fn take(&mut self, page: Vec<ResultEntry>) -> Result<(), Failure> {
        if self.pages.send(page).await.is_ok() {
            return Ok(());
        }
        let ended = (&mut self.work).await;
        Err(ended.map_or_else(|_| broken(), |harvest| harvest.err().unwrap_or_else(broken)))
    }

    /// Waits until all pages are taken apart.
    ///
    /// # Errors
    /// What was wrong with one of them.
    pub async fn finish(self) -> Result<Harvest, Failure> {
        let Self { pages, work } = self;
        drop(pages);
        work.await.unwrap_or_else(|_| Err(broken()))
    }
}

fn broken() -> Failure {
    Failure::Unavailable(transient("taking apart what the server sent failed inside Intake".to_owned()))
}

impl Harvest {
    /// Starts with nothing.
    pub fn new(name: Text, url: String, base: Dn, naming_context: Dn) -> Self {
        let builder = DirectoryBuilder::new(name, base.clone(), naming_context.clone());
        let partial = Vec::new();
        Self { builder, partial, saw_base: false, elsewhere: false, url, base, naming_context, read: 0 }
    }

    fn take(&mut self, entries: &[ResultEntry]) -> Result<(), Failure> {
        for entry in entries {
            if entry.is_ref() {
                self.follow(&entry.0)?;
                continue;
            }
            if !is_object(entry) {
                continue;
            }
            self.read += 1;
            let entry = entry_of(&entry.0).map_err(|obstacle| self.stopped(&obstacle))?;
            if !entry.has_class() {
                // A right may hide it alone. What the entry is, is then unknown: perhaps a person.
                let what =
                    format!("{} shows no objectClass: may the reader see it?", shown(entry.dn().as_str()));
                return Err(self.stopped(&Obstacle::Unreadable(what)));
            }
            self.saw_base = self.saw_base || *entry.dn() == self.base;
            if self.elsewhere && entry.dn().is_under(&self.base) {
                self.expect_known(&entry).map_err(|obstacle| self.stopped(&obstacle))?;
                continue;
            }
            let added = if entry.range().is_some_and(|range| !range.is_whole()) {
                entry.into_partial_group().map(|group| self.partial.push(group))
            } else {
                entry.add_to(&mut self.builder, &self.naming_context)
            };
            added.map_err(|obstacle| self.stopped(&obstacle))?;
        }
        Ok(())
    }

    /// A group that was read before is not read again. One that was not came from outside of the base
    /// between the searches, or is new: neither of them has it.
    fn expect_known(&self, entry: &Entry<'_>) -> Result<(), Obstacle> {
        if entry.identity().is_some_and(|guid| self.builder.holds(guid)) {
            return Ok(());
        }
        let name = entry.dn().as_str();
        Err(Obstacle::Changed(format!("the group {name} came to its place while the directory was read")))
    }

    /// Judges a reference to another server: the forest's own partitions hold no people, any other
    /// does. Another domain below this one has groups of its own, which are not looked for.
    fn follow(&self, reference: &StructureTag) -> Result<(), Failure> {
        let PL::C(urls) = &reference.payload else {
            return Err(self.incomplete("the server sent a reference that cannot be read".to_owned()));
        };
        for url in urls {
            let url = match &url.payload {
                PL::P(octets) => String::from_utf8_lossy(octets).into_owned(),
                PL::C(_) => String::new(),
            };
            let is_left_out = is_own_partition(&url, &self.naming_context)
                || (self.elsewhere && name_in(&url).is_some_and(|dn| dn.rdn_key().starts_with("dc=")));
            if !is_left_out {
                let what = format!(
                    "a part of {} is held by another server: {}",
                    shown(self.base.as_str()),
                    shown(&url)
                );
                return Err(self.incomplete(what));
            }
        }
        Ok(())
    }

    /// Says what keeps a reading from being whole. What changed while it was read may well hold still
    /// for the next attempt.
    pub fn stopped(&self, obstacle: &Obstacle) -> Failure {
        let (what, passing) = match obstacle {
            Obstacle::Contradiction(contradiction) => {
                let what = format!(
                    "the directory changed while it was read, or contradicts itself: {contradiction}"
                );
                (what, true)
            }
            Obstacle::Changed(what) => (what.clone(), true),
            Obstacle::Unreadable(what) => (what.clone(), false),
        };
        self.failed(shown(&what), passing)
    }

    fn incomplete(&self, what: String) -> Failure {
        self.failed(what, false)
    }

    fn failed(&self, what: String, passing: bool) -> Failure {
        let what = format!("{}: {what}", self.url);
        Failure::Incomplete { shortfall: Shortfall { what, read: self.read }, passing }
    }
}

/// Whether an answer is an entry, and neither a reference nor a remark.
pub fn is_object(entry: &ResultEntry) -> bool {
    !entry.is_ref() && !entry.is_intermediate()
}

/// Reads an entry from how it was sent.
///
/// # Errors
/// If it breaks the protocol.
pub fn entry_of(tag: &StructureTag) -> Result<Entry<'_>, Obstacle> {
    let (name, attributes) = entry_parts(tag).ok_or_else(|| {
        Obstacle::Unreadable("the server sent an entry that breaks the protocol".to_owned())
    })?;
    let mut entry = Entry::new(name)?;
    for (description, values) in attributes {
        if let Ok(description) = std::str::from_utf8(description) {
            entry.attribute(description, values)?;
        }
    }
    Ok(entry)
}

/// Whether a reference leads to a partition that every domain of a forest has: its configuration and
/// schema, and the zones of its DNS.
fn is_own_partition(url: &str, naming_context: &Dn) -> bool {
    let Some(dn) = name_in(url) else {
        return false;
    };
    let partitions = ["cn=configuration", "cn=schema", "dc=domaindnszones", "dc=forestdnszones"];
    let parent = dn.parent_key().unwrap_or_default();
    let in_forest = naming_context.key() == parent
        || naming_context.key().ends_with(&format!(",{parent}"))
        || parent.ends_with(&format!(",{}", naming_context.key()))
        || parent.strip_prefix("cn=configuration,").is_some_and(|root| naming_context.key().ends_with(root));
    partitions.contains(&dn.rdn_key()) && in_forest
}

/// Returns the name that a reference leads to: the path of its URL, percent-encoded (RFC 4516).
fn name_in(url: &str) -> Option<Dn> {
    let url = Url::parse(url).ok()?;
    let text = percent_decoded(url.path().trim_start_matches('/'))?;
    Dn::parse(&text).ok()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            octets.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forests_own_partitions_hold_nobody_and_another_domain_does() {
        let domain = Dn::parse("DC=contoso,DC=test").expect("a DN");
        let own = |url: &str| is_own_partition(url, &domain);
        assert!(own("ldap://contoso.test/CN=Configuration,DC=contoso,DC=test"));
        assert!(own("ldap://DomainDnsZones.contoso.test/DC=DomainDnsZones,DC=contoso,DC=test"));
        assert!(own("ldap://ForestDnsZones.contoso.test/DC=ForestDnsZones,DC=contoso,DC=test??base"));
        assert!(own("ldap://contoso.test/CN%3DConfiguration,DC=contoso,DC=test"));
        assert!(own("ldap://contoso.test/CN=Schema,CN=Configuration,DC=contoso,DC=test"));
        assert!(!own("ldap://berlin.contoso.test/DC=berlin,DC=contoso,DC=test"));
        assert!(!own("ldap://other.test/CN=Configuration,DC=other,DC=test"));
        assert!(!own("ldap://contoso.test/"));
        assert!(!own("nonsense"));
    }
}
