//! Finds the contact of each account in a documentation system: one candidate links, none is `unmatched`,
//! several are a person's to decide. Never the first of several.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use jiff::Timestamp;

use crate::model::account::AccountKey;
use crate::model::contact::{Contact, ContactKind, Product, username_key};
use crate::model::contact_match::{CANDIDATES_KEPT, ContactMatch, MatchCandidate, MatchKey, MatchStatus};
use crate::model::text::{Text, fold, inert};
use crate::plan::likeness::Likeness;

/// What one customer's accounts are matched from, in one documentation system.
#[derive(Debug)]
pub struct Matching<'a> {
    /// The connection of the operator's file.
    pub connection: &'a Text,
    /// The customer's organisation there.
    pub organization: &'a Text,
    /// The accounts, each once.
    pub accounts: &'a [&'a Likeness],
    /// Every contact of the customer there.
    pub contacts: &'a [Contact],
    /// What was known before.
    pub known: &'a BTreeMap<AccountKey, ContactMatch>,
    /// Which contacts the customer's document chooses, by account.
    pub chosen: &'a BTreeMap<AccountKey, BTreeSet<Text>>,
    /// The contacts that accounts are linked to in other systems.
    pub elsewhere: &'a BTreeMap<AccountKey, Vec<(Product, Text)>>,
    /// Categories of password entries that are matched by username.
    pub categories: &'a [Text],
    /// For which accounts a missing contact is to be made.
    pub create: &'a BTreeSet<AccountKey>,
    /// What is made for them.
    pub create_as: ContactKind,
    /// When it is.
    pub at: Timestamp,
}

/// What came of looking for one account's contact, before it is known who else claims it.
#[derive(Debug)]
enum Found<'a> {
    /// One contact.
    Claim(&'a Contact, MatchKey, Option<Text>),
    /// Nothing that links; these were found all the same.
    Open { status: MatchStatus, cause: String, candidates: Cut<'a> },
}

/// The first candidates by strength and id, and how many there are.
#[derive(Debug, Default)]
struct Cut<'a> {
    first: Vec<Candidate<'a>>,
    count: usize,
}

impl<'a> Cut<'a> {
    fn of(mut candidates: Vec<Candidate<'a>>) -> Self {
        candidates.sort_by(|left, right| {
            (left.key, natural(&left.contact.id)).cmp(&(right.key, natural(&right.contact.id)))
        });
        let count = candidates.len();
        candidates.truncate(CANDIDATES_KEPT);
        candidates.shrink_to_fit();
        Self { first: candidates, count }
    }
}

/// A contact that could stand for an account, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate<'a> {
    contact: &'a Contact,
    key: MatchKey,
    value: Option<Text>,
}

/// Matches every account, and returns how each stands, in the order of the accounts. Those that stand as
/// before are returned as they were, down to the time since when.
pub fn match_contacts(matching: &Matching<'_>) -> Vec<ContactMatch> {
    let index = Index::of(matching.contacts, matching.categories);
    // A contact that somebody chose for one account is no other's candidate.
    let mut taken: HashMap<&str, &Likeness> = HashMap::new();
    for account in matching.accounts {
        if let Found::Claim(contact, ..) = matching.choice(account, &index).unwrap_or_else(Found::nothing) {
            let holder = taken.entry(contact.id.as_str()).or_insert(account);
            // Of two who chose it the messages name the same one, whoever comes first.
            if account.account < holder.account {
                *holder = account;
            }
        }
    }
    let found: Vec<(&Likeness, Found<'_>)> =
        matching.accounts.iter().map(|account| (*account, matching.find(account, &index, &taken))).collect();
    let mut claims: HashMap<&str, Vec<&Likeness>> = HashMap::new();
    for (account, found) in &found {
        if let Found::Claim(contact, ..) = found {
            claims.entry(contact.id.as_str()).or_default().push(account);
        }
    }
    let settled = found.into_iter().map(|(account, found)| {
        let found = match found {
            Found::Claim(contact, key, value) => {
                // The same person in two roles is one claimant.
                let others = claims.get(contact.id.as_str()).into_iter().flatten();
                let mut others: Vec<&str> = others
                    .filter(|other| other.account.id != account.account.id)
                    .map(|other| other.name.as_str())
                    .collect();
                others.sort_unstable();
                if others.is_empty() {
                    Found::Claim(contact, key, value)
                } else {
                    let cause = format!(
                        "{} is claimed by {} too: choose for one of them, or correct the address that they share",
                        told(contact),
                        in_words(&others)
                    );
                    let candidates = Cut::of(vec![Candidate { contact, key, value }]);
                    Found::Open { status: MatchStatus::Ambiguous, cause, candidates }
                }
            }
            open => open,
        };
        matching.settle(account, found)
    });
    settled.collect()
}

impl Found<'_> {
    fn nothing() -> Self {
        Self::Open { status: MatchStatus::Unmatched, cause: String::new(), candidates: Cut::default() }
    }
}

impl<'a> Matching<'a> {
    /// Follows the choice of a person, if there is one. It wins over every rule, also where it cannot be
    /// followed: whoever chose wants no other.
    fn choice(&self, account: &Likeness, index: &Index<'a>) -> Option<Found<'a>> {
        let chosen = self.chosen.get(&account.account)?;
        let failed = |cause: String, candidates| Found::Open {
            status: MatchStatus::Failed,
            cause,
            candidates: Cut::of(candidates),
        };
        let id = match chosen.iter().collect::<Vec<_>>()[..] {
            [] => return None,
            [id] => id,
            _ => {
                let ids: Vec<&str> = chosen.iter().map(Text::as_str).collect();
                let cause =
                    format!("`matches` chooses {} for one account: leave one of them", in_words(&ids));
                let known = chosen.iter().filter_map(|id| index.by_id.get(id.as_str()));
                let candidates =
                    known.map(|contact| Candidate::of(contact, MatchKey::Choice, None)).collect();
                return Some(failed(cause, candidates));
            }
        };
        let Some(contact) = index.by_id.get(id.as_str()).copied() else {
            let cause = format!(
                "`matches` chooses {}, and the customer has no such contact: it was deleted, or belongs to another organisation",
                inert(id)
            );
            return Some(failed(cause, Vec::new()));
        };
        if contact.is_archived {
            let cause = format!("`matches` chooses {}, which is archived", told(contact));
            return Some(failed(cause, vec![Candidate::of(contact, MatchKey::Choice, None)]));
        }
        Some(Found::Claim(contact, MatchKey::Choice, None))
    }

    /// Asks one key after the other, and stops at the first that finds anybody.
    fn find(&self, account: &'a Likeness, index: &Index<'a>, taken: &HashMap<&str, &Likeness>) -> Found<'a> {
        if let Some(found) = self.choice(account, index) {
            return found;
        }
        let is_free = |contact: &Contact| {
            taken.get(contact.id.as_str()).is_none_or(|holder| holder.account.id == account.account.id)
        };
        // Whoever takes a choice back takes back what it made.
        let before = self.known.get(&account.account);
        let before = before.filter(|before| before.matched_by != Some(MatchKey::Choice));
        let stored = before.and_then(|before| index.by_id.get(before.contact.as_ref()?.as_str()).copied());
        let stored = stored.map(|contact| Candidate::of(contact, MatchKey::StoredId, None));
        let levels = [
            stored.into_iter().collect(),
            self.cross_linked(account, index),
            index.by_addresses(account),
            index.by_usernames(account),
        ];
        // Who is archived, or chosen for somebody else, links nobody; people see them all the same.
        let mut aside: Vec<Candidate<'a>> = Vec::new();
        for level in levels {
            let (mut usable, put_aside): (Vec<_>, Vec<_>) = level
                .into_iter()
                .partition(|candidate| !candidate.contact.is_archived && is_free(candidate.contact));
            aside.extend(put_aside);
            match usable.len() {
                0 => {}
                1 => {
                    let Candidate { contact, key, value } = usable.remove(0);
                    return Found::Claim(contact, key, value);
                }
                count => {
                    let cause = format!("{count} contacts have {}", shared(&usable));
                    return Found::Open {
                        status: MatchStatus::Ambiguous,
                        cause,
                        candidates: Cut::of(usable),
                    };
                }
            }
        }
        self.unmatched(account, aside, index, taken)
    }

    fn unmatched(
        &self,
        account: &'a Likeness,
        mut aside: Vec<Candidate<'a>>,
        index: &Index<'a>,
        taken: &HashMap<&str, &Likeness>,
    ) -> Found<'a> {
        let mut seen = BTreeSet::new();
        aside.retain(|candidate| seen.insert(candidate.contact.id.as_str()));
        let mut cause = match &aside[..] {
            [] if account.addresses.is_empty() => "the account has no address to be found by".to_owned(),
            [] => "no contact has an address of this account".to_owned(),
            [candidate, ..] => {
                let contact = candidate.contact;
                match taken.get(contact.id.as_str()) {
                    Some(holder) if !contact.is_archived => {
                        format!("{} is chosen for {}", told(contact), inert(&holder.name))
                    }
                    _ => format!("{} is archived, and nobody else fits", told(contact)),
                }
            }
        };
        let by_name = index.by_name(account).into_iter().filter(|candidate| {
            let contact = candidate.contact;
            !contact.is_archived
                && !taken.contains_key(contact.id.as_str())
                && !seen.contains(contact.id.as_str())
        });
        let named: Vec<Candidate<'a>> = by_name.collect();
        match &named[..] {
            [] => {}
            [candidate] => {
                cause.push_str(&format!("; {} has the same name, which is no proof", told(candidate.contact)))
            }
            more => {
                cause.push_str(&format!("; {} contacts have the same name, which is no proof", more.len()))
            }
        }
        aside.extend(named);
        Found::Open { status: MatchStatus::Unmatched, cause, candidates: Cut::of(aside) }
    }

    /// Finds contacts that are synchronised with the account's contact in another system. Where a system does
    /// not tell with which other one, the same number may stand for somebody else: then an address has to
    /// say the same.
    fn cross_linked(&self, account: &Likeness, index: &Index<'a>) -> Vec<Candidate<'a>> {
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        for (product, id) in self.elsewhere.get(&account.account).into_iter().flatten() {
            for (contact, link) in index.by_link.get(id.as_str()).into_iter().flatten() {
                let is_same = match link {
                    Some(linked) => linked == product,
                    None => {
                        *product == Product::ConnectWise
                            && contact.addresses.iter().any(|address| account.addresses.contains(address))
                    }
                };
                if is_same && !candidates.iter().any(|known| known.contact.id == contact.id) {
                    candidates.push(Candidate::of(contact, MatchKey::CrossLink, None));
                }
            }
        }
        candidates
    }

    /// Says how an account stands: as before, where nothing is otherwise.
    fn settle(&self, account: &Likeness, found: Found<'_>) -> ContactMatch {
        let before = self.known.get(&account.account);
        let was_chosen = before.is_some_and(|before| before.matched_by == Some(MatchKey::Choice));
        let last = before.and_then(|before| before.contact.clone());
        let last = last.filter(|_| !was_chosen && !self.chosen.contains_key(&account.account));
        let mut asked_at = before.and_then(|before| before.asked_at);
        let mut now = match found {
            Found::Claim(contact, key, value) => {
                // An id confirms a link; what made it stays told.
                let (key, value) = match before {
                    Some(ContactMatch {
                        status: MatchStatus::Matched,
                        matched_by: Some(first),
                        candidates,
                        ..
                    }) if key == MatchKey::StoredId => {
                        (*first, candidates.first().and_then(|candidate| candidate.value.clone()))
                    }
                    _ => (key, value),
                };
                ContactMatch {
                    account: account.account,
                    connection: self.connection.clone(),
                    organization: self.organization.clone(),
                    status: MatchStatus::Matched,
                    contact: Some(contact.id.clone()),
                    matched_by: Some(key),
                    cause: String::new(),
                    candidates: vec![Candidate { contact, key, value }.kept()],
                    candidate_count: 1,
                    since: self.at,
                    asked_at,
                    unfollowed: BTreeSet::new(),
                }
            }
            Found::Open { status, mut cause, candidates: Cut { first, count } } => {
                let nobody_fits = status == MatchStatus::Unmatched && count == 0;
                if nobody_fits && asked_at.is_none() && self.create.contains(&account.account) {
                    match lacks(account, self.create_as) {
                        None => asked_at = Some(self.at),
                        Some(what) => {
                            let kind = self.create_as.noun();
                            cause.push_str(&format!("; no {kind} is made for an account without {what}"));
                        }
                    }
                }
                if let Some(asked) = asked_at.filter(|_| nobody_fits) {
                    cause.push_str(&format!(
                        "; one was asked for at {}, and is made once only",
                        asked.strftime("%Y-%m-%d %H:%M:%SZ")
                    ));
                }
                ContactMatch {
                    account: account.account,
                    connection: self.connection.clone(),
                    organization: self.organization.clone(),
                    status,
                    contact: last,
                    matched_by: None,
                    cause,
                    candidate_count: u64::try_from(count).unwrap_or(u64::MAX),
                    candidates: first.into_iter().map(Candidate::kept).collect(),
                    since: self.at,
                    asked_at,
                    // Whoever has a choice and is not matched by it is matched by nothing.
                    unfollowed: self.chosen.get(&account.account).cloned().unwrap_or_default(),
                }
            }
        };
        if let Some(before) = before
            && before.status == now.status
            && before.contact == now.contact
        {
            now.since = before.since;
        }
        now
    }
}

impl<'a> Candidate<'a> {
    fn of(contact: &'a Contact, key: MatchKey, value: Option<Text>) -> Self {
        Self { contact, key, value }
    }

    fn kept(self) -> MatchCandidate {
        let Self { contact, key, value } = self;
        MatchCandidate {
            id: contact.id.clone(),
            kind: contact.kind,
            name: contact.name.clone(),
            matched_by: key,
            value,
            url: contact.url.clone(),
            remark: contact.remark.clone(),
            is_archived: contact.is_archived,
        }
    }
}

/// The contacts of one customer, by everything that they are found by.
struct Index<'a> {
    by_id: HashMap<&'a str, &'a Contact>,
    by_address: HashMap<&'a str, Vec<&'a Contact>>,
    /// Password entries of the categories that count, by the folded username.
    by_username: HashMap<Text, Vec<&'a Contact>>,
    by_name: HashMap<String, Vec<&'a Contact>>,
    by_link: HashMap<&'a str, Vec<(&'a Contact, Option<Product>)>>,
}

impl<'a> Index<'a> {
    fn of(contacts: &'a [Contact], categories: &[Text]) -> Self {
        let categories: BTreeSet<Text> =
            categories.iter().map(|category| Text::from(fold(category.trim()).as_ref())).collect();
        let mut index = Self {
            by_id: HashMap::new(),
            by_address: HashMap::new(),
            by_username: HashMap::new(),
            by_name: HashMap::new(),
            by_link: HashMap::new(),
        };
        for contact in contacts {
            index.by_id.insert(contact.id.as_str(), contact);
            for link in &contact.links {
                index.by_link.entry(link.id.as_str()).or_default().push((contact, link.product));
            }
            match contact.kind {
                ContactKind::Person => {
                    for address in &contact.addresses {
                        index.by_address.entry(address.as_str()).or_default().push(contact);
                    }
                    index.by_name.entry(name_key(&full_name(contact))).or_default().push(contact);
                }
                ContactKind::PasswordEntry => {
                    let category = contact.category.as_deref().map(|category| fold(category.trim()));
                    let counts = category.is_some_and(|category| categories.contains(category.as_ref()));
                    if let Some(username) = contact.username.as_deref().filter(|_| counts) {
                        index.by_username.entry(username_key(username)).or_default().push(contact);
                    }
                }
            }
        }
        index.by_name.remove("");
        index
    }

    fn by_addresses(&self, account: &Likeness) -> Vec<Candidate<'a>> {
        let mut candidates: BTreeMap<&str, Candidate<'a>> = BTreeMap::new();
        for address in &account.addresses {
            for contact in self.by_address.get(address.as_str()).into_iter().flatten() {
                let candidate = || Candidate::of(contact, MatchKey::Address, Some(address.clone()));
                candidates.entry(contact.id.as_str()).or_insert_with(candidate);
            }
        }
        candidates.into_values().collect()
    }

    fn by_usernames(&self, account: &Likeness) -> Vec<Candidate<'a>> {
        let mut candidates: BTreeMap<&str, Candidate<'a>> = BTreeMap::new();
        for username in &account.usernames {
            for contact in self.by_username.get(username).into_iter().flatten() {
                let value = contact.username.clone();
                candidates
                    .entry(contact.id.as_str())
                    .or_insert_with(|| Candidate::of(contact, MatchKey::Username, value));
            }
        }
        candidates.into_values().collect()
    }

    fn by_name(&self, account: &Likeness) -> Vec<Candidate<'a>> {
        let key = name_key(&account.display_name);
        let named = self.by_name.get(&key).into_iter().flatten();
        named.map(|contact| Candidate::of(contact, MatchKey::Name, None)).collect()
    }
}

fn full_name(contact: &Contact) -> String {
    match (&contact.first_name, &contact.last_name) {
        (Some(first), Some(last)) => format!("{first} {last}"),
        _ => contact.name.to_string(),
    }
}

/// Returns the form in which names are compared: the words, folded and sorted, so that `Doe, Jane` and
/// `Jane Doe` are the same. Empty for a name of fewer than two words, which says nothing.
fn name_key(name: &str) -> String {
    let mut words: Vec<String> = name
        .split(|character: char| character.is_whitespace() || character == ',')
        .filter(|word| !word.is_empty())
        .map(|word| fold(word).into_owned())
        .collect();
    if words.len() < 2 {
        return String::new();
    }
    words.sort_unstable();
    words.join(" ")
}

/// Orders ids that are numbers by their value, and others after them by their text.
fn natural(id: &str) -> (bool, u64, &str) {
    match id.parse() {
        Ok(number) => (false, number, id),
        Err(_) => (true, 0, id),
    }
}

/// Says what an account lacks for something to be made for it.
fn lacks(account: &Likeness, kind: ContactKind) -> Option<&'static str> {
    match kind {
        ContactKind::Person if account.primary_address.is_none() => Some("an address"),
        ContactKind::PasswordEntry if account.primary_username.is_none() => Some("a username"),
        ContactKind::Person | ContactKind::PasswordEntry => None,
    }
}

/// Says by what several contacts were found.
fn shared(candidates: &[Candidate<'_>]) -> String {
    let key = candidates.first().map(|candidate| candidate.key);
    let values: BTreeSet<&str> =
        candidates.iter().filter_map(|candidate| candidate.value.as_deref()).take(CANDIDATES_KEPT).collect();
    let values: Vec<&str> = values.into_iter().collect();
    match key {
        Some(MatchKey::Address) if values.len() == 1 => format!("the address {}", in_words(&values)),
        Some(MatchKey::Address) => format!("addresses of this account: {}", in_words(&values)),
        Some(MatchKey::Username) => format!("its username: {}", in_words(&values)),
        Some(MatchKey::CrossLink) => "a link to its contact in another system".to_owned(),
        _ => "what it is found by".to_owned(),
    }
}

/// Names a contact for people.
fn told(contact: &Contact) -> String {
    let kind = contact.kind.noun();
    let id = inert(&contact.id);
    if contact.name.is_empty() {
        format!("{kind} {id}")
    } else {
        format!("{kind} {id} ({})", inert(&contact.name))
    }
}

/// Lists a few names in words; of many, how many more there are.
fn in_words(names: &[&str]) -> String {
    const TOLD: usize = 3;
    let shown: Vec<String> = names.iter().take(TOLD).map(|name| inert(name).into_owned()).collect();
    match names.len() {
        0..=TOLD => shown.join(", "),
        count => format!("{} and {} more", shown.join(", "), count - TOLD),
    }
}
