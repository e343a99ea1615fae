//! Paged searches that prove themselves whole, or say why they do not.

use lber::parse::parse_tag;
use lber::structure::PL;
use ldap3::controls::{MakeCritical as _, PagedResults, RawControl};
use ldap3::{LdapError, LdapResult, ResultEntry, Scope, SearchStream};

use crate::adapters::directory_object::{ATTRIBUTES, CLASSES, Obstacle, shown};
use crate::adapters::ldap_connection::{Connection, RootDse};
use crate::adapters::ldap_fault::{Failure, code, lost, refused, search_failure};
use crate::adapters::ldap_harvest::{Harvest, Harvester, entry_of, is_object};
use crate::model::directory::Origin;
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
pub const MAX_EMPTY_PAGES: usize = 1_000;
/// The most portions in which one group's members are fetched.
const MAX_PORTIONS: usize = 10_000;

type Stream = SearchStream<'static, &'static str, Vec<&'static str>>;

/// What arrived of one page, and how it ended.
struct Arrived {
    entries: Vec<ResultEntry>,
    end: Result<LdapResult, LdapError>,
}

/// A page that arrived whole.
pub struct Page {
    /// What is on it.
    pub entries: Vec<ResultEntry>,
    /// Where the next one begins; empty after the last.
    pub cookie: Vec<u8>,
}

/// What one paged search is for.
pub struct Area {
    /// Below which name.
    pub base: Dn,
    /// What is searched for.
    pub filter: String,
    /// What is asked of it.
    pub attributes: Vec<&'static str>,
    /// How many objects a page holds; 0 for as many as the customer's document says.
    pub page_size: i32,
}

impl Area {
    /// Starts with everything that people, groups and containers are read from, in pages of the usual
    /// size.
    pub fn below(base: &Dn, filter: String) -> Self {
        Self { base: base.clone(), filter, attributes: ATTRIBUTES.to_vec(), page_size: 0 }
    }
}

/// The searches for everything below one name.
pub struct Search<'a> {
    connection: &'a mut Connection,
    base: Dn,
    naming_context: Dn,
    page_size: i32,
    /// Whether the server must send pages, and say which is the last.
    is_paged: bool,
    has_domain_scope: bool,
    server: Text,
    read: usize,
}

impl<'a> Search<'a> {
    /// Prepares a search below `base`.
    pub fn new(connection: &'a mut Connection, root: &RootDse, base: Dn, page_size: u32) -> Self {
        Self {
            naming_context: root.naming_context_of(&base),
            is_paged: root.supports(PAGED_RESULTS),
            has_domain_scope: root.supports(DOMAIN_SCOPE),
            page_size: i32::try_from(page_size.clamp(1, 100_000)).unwrap_or(1000),
            server: Text::from(root.service.as_deref().unwrap_or(&connection.url)),
            connection,
            base,
            read: 0,
        }
    }

    /// Reads everything below the base, and the domain's groups outside of it: whoever lies below the
    /// base may be a member of theirs.
    ///
    /// # Errors
    /// Whatever keeps the reading from being whole.
    pub async fn run(&mut self, name: Text, progress: &dyn Progress) -> Result<Harvest, Failure> {
        let harvest = self.harvest(name);
        let below = Area::below(&self.base, filter());
        let mut harvest = self.read_pages(&below, harvest, progress).await?;
        if self.read == 0 {
            let what = format!("the server showed nothing below {}", shown(self.base.as_str()));
            return Err(self.incomplete(what));
        }
        if !harvest.saw_base {
            let what = format!(
                "the server did not show {} itself: may the reader see it?",
                shown(self.base.as_str())
            );
            return Err(self.incomplete(what));
        }
        if self.base != self.naming_context {
            self.describe_domain(&mut harvest).await?;
            harvest.elsewhere = true;
            let domain = Area::below(&self.naming_context, "(objectClass=group)".to_owned());
            harvest = self.read_pages(&domain, harvest, progress).await?;
        }
        Ok(harvest)
    }

    /// Starts with nothing read.
    pub fn harvest(&self, name: Text) -> Harvest {
        let mut harvest =
            Harvest::new(name, self.connection.url.clone(), self.base.clone(), self.naming_context.clone());
        harvest.builder.origin(Origin::Server(self.server.clone()));
        harvest
    }

    /// Finds the few objects that a filter fits: in the whole domain, or below the base where the
    /// reader may not see the domain.
    ///
    /// # Errors
    /// Whatever keeps the answer from being whole.
    pub async fn find(
        &mut self,
        filter: &str,
        attributes: Vec<&'static str>,
    ) -> Result<Vec<ResultEntry>, Failure> {
        let domain = self.naming_context.as_str().to_owned();
        match self.answer(&domain, Scope::Subtree, filter, attributes.clone()).await? {
            Some(entries) => Ok(entries),
            None => {
                let base = self.base.as_str().to_owned();
                Ok(self.answer(&base, Scope::Subtree, filter, attributes).await?.unwrap_or_default())
            }
        }
    }

    /// Reads page after page. While one is taken apart, the next one arrives.
    async fn read_pages(
        &mut self,
        area: &Area,
        harvest: Harvest,
        progress: &dyn Progress,
    ) -> Result<Harvest, Failure> {
        let harvest_is_elsewhere = harvest.elsewhere;
        let mut harvester = Harvester::start(harvest);
        let mut stream = self.start(area, Vec::new()).await?;
        let mut is_first = true;
        let mut empty_pages = 0;
        loop {
            let page = self.receive(&mut stream).await;
            self.read += page.entries.iter().filter(|entry| is_object(entry)).count();
            empty_pages = if page.entries.is_empty() { empty_pages + 1 } else { 0 };
            // Whoever may not see what lies outside of the base reads without it. What broke off is no
            // such answer.
            let cookie = match page.end {
                Ok(result)
                    if harvest_is_elsewhere && is_first && page.entries.is_empty() && hides(&result) =>
                {
                    Vec::new()
                }
                end => self.end(area, end)?,
            };
            is_first = false;
            let next = if cookie.is_empty() { None } else { Some(self.start(area, cookie).await?) };
            harvester.take(page.entries).await?;
            progress.read(self.read);
            if empty_pages > MAX_EMPTY_PAGES || self.read > MAX_ENTRIES {
                return Err(self.incomplete("the server sends pages without end".to_owned()));
            }
            match next {
                Some(next) => stream = next,
                None => break,
            }
        }
        let mut harvest = harvester.finish().await?;
        self.fetch_members(&mut harvest).await?;
        Ok(harvest)
    }

    async fn start(&mut self, area: &Area, cookie: Vec<u8>) -> Result<Stream, Failure> {
        let size = if area.page_size == 0 { self.page_size } else { area.page_size };
        let paged = PagedResults { size, cookie };
        let mut controls: Vec<RawControl> =
            vec![if self.is_paged { paged.critical().into() } else { paged.into() }];
        if self.has_domain_scope {
            controls.push(RawControl { ctype: DOMAIN_SCOPE.to_owned(), crit: false, val: None });
        }
        self.send(area.base.as_str(), Scope::Subtree, &area.filter, area.attributes.clone(), controls).await
    }

    async fn send<A: AsRef<[S]> + Send + Sync + 'static, S: AsRef<str> + Send + Sync + 'static>(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: A,
        controls: Vec<RawControl>,
    ) -> Result<SearchStream<'static, S, A>, Failure> {
        let mut ldap = self.connection.handle();
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        match self.connection.run(ldap.streaming_search(base, scope, filter, attributes)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(LdapError::FilterParsing)) => {
                Err(Failure::Unavailable(refused("the search filter is broken".to_owned())))
            }
            Ok(Err(_)) => Err(self.lost(self.connection.cause())),
            Err(_) => Err(self.lost("no answer in time")),
        }
    }

    /// Takes entries until the server says that the page is done. What arrived before something
    /// broke is kept, to be counted.
    async fn receive<A: AsRef<[S]> + Send + Sync + 'static, S: AsRef<str> + Send + Sync + 'static>(
        &mut self,
        stream: &mut SearchStream<'static, S, A>,
    ) -> Arrived {
        let mut entries = Vec::new();
        let gathering = async {
            loop {
                match stream.next().await {
                    Ok(Some(entry)) if entries.len() < MAX_ENTRIES => entries.push(entry),
                    Ok(Some(_)) => return Err(LdapError::EndOfStream),
                    Ok(None) => return Ok(stream.finish().await),
                    Err(error) => return Err(error),
                }
            }
        };
        let end = self.connection.run(gathering).await.flatten();
        Arrived { entries, end }
    }

    /// Reads one page.
    ///
    /// # Errors
    /// If it did not arrive whole.
    pub async fn page(&mut self, area: &Area, cookie: Vec<u8>) -> Result<Page, Failure> {
        let mut stream = self.start(area, cookie).await?;
        let arrived = self.receive(&mut stream).await;
        Ok(Page { entries: arrived.entries, cookie: self.end(area, arrived.end)? })
    }

    /// Returns where the page after one that ended so begins.
    fn end(&self, area: &Area, end: Result<LdapResult, LdapError>) -> Result<Vec<u8>, Failure> {
        self.cookie(&self.success(area.base.as_str(), end)?)
    }

    /// Returns the result of a search that began at `base` and succeeded.
    fn success(&self, base: &str, end: Result<LdapResult, LdapError>) -> Result<LdapResult, Failure> {
        match end {
            Ok(result) if result.rc == code::SUCCESS => Ok(result),
            Ok(result) => Err(search_failure(&self.connection.url, base, &result, self.read)),
            Err(LdapError::Timeout { .. }) => Err(self.lost("no answer in time")),
            Err(_) => Err(self.lost(self.connection.cause())),
        }
    }

    /// Returns the naming context that is read.
    pub fn naming_context(&self) -> &Dn {
        &self.naming_context
    }

    /// Returns the name below which people are read.
    pub fn base(&self) -> &Dn {
        &self.base
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

    /// Fetches the members of groups that the server sends in portions.
    async fn fetch_members(&mut self, harvest: &mut Harvest) -> Result<(), Failure> {
        for mut group in std::mem::take(&mut harvest.partial) {
            let mut portions = 0;
            while let Some(first) = group.next() {
                portions += 1;
                let attribute = format!("member;range={first}-*");
                let base = group.dn().as_str().to_owned();
                let entries = self.read_object(&base, vec![attribute]).await?;
                let Some(entry) = entries.first() else {
                    let what = format!("the group {base} vanished while its members were read");
                    return Err(harvest.stopped(&Obstacle::Changed(what)));
                };
                let entry = entry_of(&entry.0).map_err(|obstacle| harvest.stopped(&obstacle))?;
                group.extend(&entry).map_err(|obstacle| harvest.stopped(&obstacle))?;
                if portions > MAX_PORTIONS {
                    let what = format!("the members of {} have no end", shown(&base));
                    return Err(self.incomplete(what));
                }
            }
            let added = group.add_to(&mut harvest.builder);
            added.map_err(|obstacle| harvest.stopped(&obstacle))?;
        }
        Ok(())
    }

    /// Reads the domain object for its SID, where the reading begins below it. A reader that may not
    /// see it reads without.
    async fn describe_domain(&mut self, harvest: &mut Harvest) -> Result<(), Failure> {
        let base = self.naming_context.as_str().to_owned();
        let entries = self.read_object(&base, ATTRIBUTES.map(str::to_owned).to_vec()).await?;
        if let Some(entry) = entries.first() {
            let entry = entry_of(&entry.0).map_err(|obstacle| harvest.stopped(&obstacle))?;
            entry.describe_domain(&mut harvest.builder);
        }
        Ok(())
    }

    /// Reads one object. One that is not there, or may not be seen, gives no entry.
    ///
    /// # Errors
    /// Whatever keeps the answer from being whole.
    pub async fn read_object(
        &mut self,
        base: &str,
        attributes: Vec<String>,
    ) -> Result<Vec<ResultEntry>, Failure> {
        let found = self.answer(base, Scope::Base, "(objectClass=*)", attributes).await?;
        Ok(found.unwrap_or_default())
    }

    /// Searches once, without pages. `None` where the name to begin at is not there, or may not be seen.
    async fn answer<S: AsRef<str> + Send + Sync + 'static>(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: Vec<S>,
    ) -> Result<Option<Vec<ResultEntry>>, Failure> {
        let mut stream = self.send(base, scope, filter, attributes, Vec::new()).await?;
        let mut page = self.receive(&mut stream).await;
        page.entries.retain(is_object);
        match page.end {
            Ok(result) if hides(&result) => Ok(None),
            end => self.success(base, end).map(|_| Some(page.entries)),
        }
    }

    fn lost(&self, why: &str) -> Failure {
        lost(&self.connection.url, self.read, why)
    }

    /// Makes a failure of what the server did that no other attempt would change.
    pub fn incomplete(&self, what: String) -> Failure {
        let what = format!("{}: {what}", self.connection.url);
        Failure::Incomplete { shortfall: Shortfall { what, read: self.read }, passing: false }
    }
}

/// Whether a server says that there is nothing that the reader may see.
fn hides(result: &LdapResult) -> bool {
    matches!(result.rc, code::NO_SUCH_OBJECT | code::INSUFFICIENT_ACCESS)
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

/// Reads the value of a paged-results control (RFC 2696): a size, and the cookie.
fn cookie_of(value: &[u8]) -> Option<Vec<u8>> {
    let (_, tag) = parse_tag(value).ok()?;
    match tag.expect_constructed()?.into_iter().nth(1)?.payload {
        PL::P(cookie) => Some(cookie),
        PL::C(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_cannot_be_read_is_not_an_empty_one() {
        assert_eq!(cookie_of(&[0x30, 5, 2, 1, 0, 4, 0]), Some(Vec::new()));
        assert_eq!(cookie_of(&[0x30, 7, 2, 1, 0, 4, 2, 1, 2]), Some(vec![1, 2]));
        assert_eq!(cookie_of(&[0x30, 3, 2, 1, 0]), None);
        assert_eq!(cookie_of(&[]), None);
    }
}
