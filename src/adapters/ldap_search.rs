//! One paged search that proves itself whole, or says why it does not.

use lber::parse::parse_tag;
use lber::structure::{PL, StructureTag};
use ldap3::controls::{MakeCritical as _, PagedResults, RawControl};
use ldap3::{LdapError, LdapResult, ResultEntry, Scope, SearchStream};
use tokio::time::timeout;
use url::Url;

use crate::adapters::directory_object::{ATTRIBUTES, CLASSES, Entry, Obstacle, PartialGroup, shown};
use crate::adapters::ldap_connection::{Connection, RootDse, entry_parts};
use crate::adapters::ldap_fault::{Failure, code, lost, refused, search_failure};
use crate::model::directory::{Directory, DirectoryBuilder};
use crate::model::dn::Dn;
use crate::model::reading::Shortfall;
use crate::model::text::Text;
use crate::ports::source::Progress;

/// Results in pages (RFC 2696).
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
/// No references to other domains (\[MS-ADTS\] 3.1.1.3.4.1.4).
const DOMAIN_SCOPE: &str = "1.2.840.113556.1.4.1339";

/// The most entries that are taken from one server: ten times the largest directory known to us.
const MAX_ENTRIES: usize = 10_000_000;
/// How many pages in a row may be empty. Active Directory sends some when permissions hide much.
const MAX_EMPTY_PAGES: usize = 1_000;
/// The most portions in which one group's members are fetched.
const MAX_PORTIONS: usize = 10_000;

type Stream = SearchStream<'static, &'static str, Vec<&'static str>>;

/// What arrived of one page.
struct Page {
    entries: Vec<ResultEntry>,
    end: Result<LdapResult, LdapError>,
}

/// A search for everything below one name.
pub struct Search<'a> {
    connection: &'a mut Connection,
    base: Dn,
    naming_context: Dn,
    page_size: i32,
    /// Whether the server must send pages, and say which is the last.
    is_paged: bool,
    has_domain_scope: bool,
    read: usize,
    saw_base: bool,
    partial: Vec<PartialGroup>,
}

impl<'a> Search<'a> {
    /// Prepares a search below `base`.
    pub fn new(connection: &'a mut Connection, root: &RootDse, base: Dn, page_size: u32) -> Self {
        Self {
            naming_context: root.naming_context_of(&base),
            is_paged: root.supports(PAGED_RESULTS),
            has_domain_scope: root.supports(DOMAIN_SCOPE),
            page_size: i32::try_from(page_size.clamp(1, 100_000)).unwrap_or(1000),
            connection,
            base,
            read: 0,
            saw_base: false,
            partial: Vec::new(),
        }
    }

    /// Reads page after page. While a page is taken apart, the server prepares the next one.
    ///
    /// # Errors
    /// Whatever keeps the reading from being whole.
    pub async fn run(mut self, name: Text, progress: &dyn Progress) -> Result<Directory, Failure> {
        let mut builder = DirectoryBuilder::new(name, self.base.clone(), self.naming_context.clone());
        let mut stream = self.start(Vec::new()).await?;
        let mut empty_pages = 0;
        loop {
            let page = self.receive(&mut stream).await?;
            self.read += page.entries.iter().filter(|entry| is_object(entry)).count();
            empty_pages = if page.entries.is_empty() { empty_pages + 1 } else { 0 };
            let cookie = match &page.end {
                Ok(result) if result.rc == code::SUCCESS => self.cookie(result)?,
                _ => Vec::new(),
            };
            let next = if cookie.is_empty() { None } else { Some(self.start(cookie).await?) };
            self.take(&page.entries, &mut builder)?;
            progress.read(self.read);
            match page.end {
                Ok(result) if result.rc == code::SUCCESS => {}
                Ok(result) => {
                    return Err(search_failure(&self.connection.url, self.base.as_str(), &result, self.read));
                }
                Err(LdapError::Timeout { .. }) => return Err(self.lost("no answer in time")),
                Err(_) => {
                    let cause = self.connection.cause().await;
                    return Err(self.lost(&cause));
                }
            }
            if empty_pages > MAX_EMPTY_PAGES || self.read > MAX_ENTRIES {
                return Err(self.incomplete("the server sends pages without end".to_owned()));
            }
            match next {
                Some(next) => stream = next,
                None => break,
            }
        }
        self.fetch_members(&mut builder).await?;
        if self.read == 0 {
            let what = format!("the server showed nothing below {}", shown(self.base.as_str()));
            return Err(self.incomplete(what));
        }
        if !self.saw_base {
            let what = format!(
                "the server did not show {} itself: may the reader see it?",
                shown(self.base.as_str())
            );
            return Err(self.incomplete(what));
        }
        if self.base != self.naming_context {
            self.describe_domain(&mut builder).await?;
        }
        Ok(builder.finish())
    }

    async fn start(&mut self, cookie: Vec<u8>) -> Result<Stream, Failure> {
        let paged = PagedResults { size: self.page_size, cookie };
        let mut controls: Vec<RawControl> =
            vec![if self.is_paged { paged.critical().into() } else { paged.into() }];
        if self.has_domain_scope {
            controls.push(RawControl { ctype: DOMAIN_SCOPE.to_owned(), crit: false, val: None });
        }
        let base = self.base.as_str().to_owned();
        let filter = filter();
        self.connection.ldap().with_controls(controls);
        self.send(&base, Scope::Subtree, &filter, ATTRIBUTES.to_vec()).await
    }

    async fn send<A: AsRef<[S]> + Send + Sync + 'static, S: AsRef<str> + Send + Sync + 'static>(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: A,
    ) -> Result<SearchStream<'static, S, A>, Failure> {
        let patience = self.connection.patience;
        let sent =
            timeout(patience, self.connection.ldap().streaming_search(base, scope, filter, attributes)).await;
        match sent {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(LdapError::FilterParsing)) => {
                Err(Failure::Unavailable(refused("the search filter is broken".to_owned())))
            }
            Ok(Err(_)) => {
                let cause = self.connection.cause().await;
                Err(self.lost(&cause))
            }
            Err(_) => Err(self.lost("no answer in time")),
        }
    }

    /// Takes entries until the server says that the page is done. What arrived before something
    /// broke is kept, to be counted.
    async fn receive<A: AsRef<[S]> + Send + Sync + 'static, S: AsRef<str> + Send + Sync + 'static>(
        &mut self,
        stream: &mut SearchStream<'static, S, A>,
    ) -> Result<Page, Failure> {
        let mut entries = Vec::new();
        let gathered = timeout(self.connection.patience, async {
            loop {
                match stream.next().await {
                    Ok(Some(entry)) if entries.len() < MAX_ENTRIES => entries.push(entry),
                    Ok(Some(_)) => return Err(LdapError::EndOfStream),
                    Ok(None) => return Ok(stream.finish().await),
                    Err(error) => return Err(error),
                }
            }
        })
        .await;
        let end = match gathered {
            Ok(end) => end,
            Err(elapsed) => Err(LdapError::from(elapsed)),
        };
        Ok(Page { entries, end })
    }

    /// Returns where the next page begins; empty after the last one.
    fn cookie(&self, result: &LdapResult) -> Result<Vec<u8>, Failure> {
        let control = result.ctrls.iter().find(|control| control.1.ctype == PAGED_RESULTS);
        match control.map(|control| control.1.val.as_deref().and_then(cookie_of)) {
            Some(Some(cookie)) => Ok(cookie),
            None if !self.is_paged => Ok(Vec::new()),
            None | Some(None) => {
                Err(self.incomplete("the server did not say whether the page was the last".to_owned()))
            }
        }
    }

    fn take(&mut self, entries: &[ResultEntry], builder: &mut DirectoryBuilder) -> Result<(), Failure> {
        for entry in entries {
            if entry.is_ref() {
                self.follow(&entry.0)?;
                continue;
            }
            if !is_object(entry) {
                continue;
            }
            let entry = entry_of(&entry.0).map_err(|obstacle| self.stopped(&obstacle))?;
            self.saw_base = self.saw_base || *entry.dn() == self.base;
            let added = if entry.range().is_some_and(|range| !range.is_whole()) {
                entry.into_partial_group().map(|group| self.partial.push(group))
            } else {
                entry.add_to(builder, &self.naming_context)
            };
            added.map_err(|obstacle| self.stopped(&obstacle))?;
        }
        Ok(())
    }

    /// Judges a reference to another server: the forest's own partitions hold no people, any other
    /// does.
    fn follow(&self, reference: &StructureTag) -> Result<(), Failure> {
        let PL::C(urls) = &reference.payload else {
            return Err(self.incomplete("the server sent a reference that cannot be read".to_owned()));
        };
        for url in urls {
            let url = match &url.payload {
                PL::P(octets) => String::from_utf8_lossy(octets).into_owned(),
                PL::C(_) => String::new(),
            };
            if !is_own_partition(&url, &self.naming_context) {
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

    /// Fetches the members of groups that the server sends in portions.
    async fn fetch_members(&mut self, builder: &mut DirectoryBuilder) -> Result<(), Failure> {
        for mut group in std::mem::take(&mut self.partial) {
            let mut portions = 0;
            while let Some(first) = group.next() {
                portions += 1;
                let attribute = format!("member;range={first}-*");
                let base = group.dn().as_str().to_owned();
                let (entries, _) = self.read_object(&base, vec![attribute]).await?;
                let Some(entry) = entries.first() else {
                    let what = format!("the group {} vanished while its members were read", shown(&base));
                    return Err(self.incomplete(what));
                };
                let entry = entry_of(&entry.0).map_err(|obstacle| self.stopped(&obstacle))?;
                group.extend(&entry).map_err(|obstacle| self.stopped(&obstacle))?;
                if portions > MAX_PORTIONS {
                    let what = format!("the members of {} have no end", shown(&base));
                    return Err(self.incomplete(what));
                }
            }
            group.add_to(builder).map_err(|obstacle| self.stopped(&obstacle))?;
        }
        Ok(())
    }

    /// Reads the domain object for its SID, where the reading begins below it. A reader that may not
    /// see it reads without.
    async fn describe_domain(&mut self, builder: &mut DirectoryBuilder) -> Result<(), Failure> {
        let base = self.naming_context.as_str().to_owned();
        let (entries, _) = self.read_object(&base, ATTRIBUTES.map(str::to_owned).to_vec()).await?;
        if let Some(entry) = entries.first() {
            entry_of(&entry.0).map_err(|obstacle| self.stopped(&obstacle))?.describe_domain(builder);
        }
        Ok(())
    }

    /// Reads one object. One that is not there, or may not be seen, gives no entry.
    async fn read_object(
        &mut self,
        base: &str,
        attributes: Vec<String>,
    ) -> Result<(Vec<ResultEntry>, LdapResult), Failure> {
        let mut stream = self.send(base, Scope::Base, "(objectClass=*)", attributes).await?;
        let mut page = self.receive(&mut stream).await?;
        page.entries.retain(is_object);
        match page.end {
            Ok(result) if result.rc == code::SUCCESS => Ok((page.entries, result)),
            Ok(result) if matches!(result.rc, code::NO_SUCH_OBJECT | code::INSUFFICIENT_ACCESS) => {
                Ok((Vec::new(), result))
            }
            Ok(result) => Err(search_failure(&self.connection.url, base, &result, self.read)),
            Err(LdapError::Timeout { .. }) => Err(self.lost("no answer in time")),
            Err(_) => {
                let cause = self.connection.cause().await;
                Err(self.lost(&cause))
            }
        }
    }

    fn lost(&self, why: &str) -> Failure {
        lost(&self.connection.url, self.read, why)
    }

    fn stopped(&self, obstacle: &Obstacle) -> Failure {
        let what = match obstacle {
            Obstacle::Contradiction(contradiction) => {
                format!("the directory changed while it was read, or contradicts itself: {contradiction}")
            }
            Obstacle::Unreadable(what) => what.clone(),
        };
        self.incomplete(shown(&what))
    }

    fn incomplete(&self, what: String) -> Failure {
        let what = format!("{}: {what}", self.connection.url);
        Failure::Incomplete { shortfall: Shortfall { what, read: self.read }, passing: false }
    }
}

/// Whether an answer is an entry, and neither a reference nor a remark.
fn is_object(entry: &ResultEntry) -> bool {
    !entry.is_ref() && !entry.is_intermediate()
}

/// Returns the filter for everything that is kept: one search reads it all. A class that a server does not know matches nothing there.
pub fn filter() -> String {
    let mut filter = String::from("(|");
    for class in CLASSES {
        filter.push_str("(objectClass=");
        filter.push_str(class);
        filter.push(')');
    }
    filter.push(')');
    filter
}

fn entry_of(tag: &StructureTag) -> Result<Entry<'_>, Obstacle> {
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

/// Reads the value of a paged-results control (RFC 2696): a size, and the cookie.
fn cookie_of(value: &[u8]) -> Option<Vec<u8>> {
    let (_, tag) = parse_tag(value).ok()?;
    match tag.expect_constructed()?.into_iter().nth(1)?.payload {
        PL::P(cookie) => Some(cookie),
        PL::C(_) => None,
    }
}

/// Whether a reference leads to a partition that every domain of a forest has: its configuration and
/// schema, and the zones of its DNS.
fn is_own_partition(url: &str, naming_context: &Dn) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    // RFC 4516: the name is the path, percent-encoded.
    let path = url.path().trim_start_matches('/').to_owned();
    let Some(dn) = percent_decoded(&path).and_then(|text| Dn::parse(&text).ok()) else {
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

    #[test]
    fn a_cookie_that_cannot_be_read_is_not_an_empty_one() {
        assert_eq!(cookie_of(&[0x30, 5, 2, 1, 0, 4, 0]), Some(Vec::new()));
        assert_eq!(cookie_of(&[0x30, 7, 2, 1, 0, 4, 2, 1, 2]), Some(vec![1, 2]));
        assert_eq!(cookie_of(&[0x30, 3, 2, 1, 0]), None);
        assert_eq!(cookie_of(&[]), None);
    }
}
