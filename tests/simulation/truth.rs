//! The truth: who works for a customer, whatever a source says of it. What becomes of somebody is told
//! here by the contract's words alone; nothing of Intake's planner is asked.

use intake::model::account::AccountType;
use intake::model::guid::Guid;

/// The customers, each of another kind.
pub(super) const NAMES: [&str; 5] = ["contoso", "fabrikam", "northwind", "litware", "tailspin"];

/// How a customer's people are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By OUs of the directory.
    Ou,
    /// By a group of the directory.
    Group,
    /// By their licences: there is a tenant alone.
    Licensed,
    /// By a group of the tenant, likewise.
    EntraGroup,
}

impl Kind {
    pub(super) fn of(customer: usize) -> Self {
        [Self::Ou, Self::Group, Self::Licensed, Self::EntraGroup, Self::Ou][customer]
    }

    pub(super) fn is_of_tenant(self) -> bool {
        matches!(self, Self::Licensed | Self::EntraGroup)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Staff,
    Team,
    Leavers,
    Elsewhere,
    Users,
}

impl Place {
    pub(super) const ALL: [Self; 5] = [Self::Staff, Self::Team, Self::Leavers, Self::Elsewhere, Self::Users];

    pub(super) fn rdns(self) -> &'static str {
        match self {
            Self::Staff => "OU=Staff",
            Self::Team => "OU=Team,OU=Staff",
            Self::Leavers => "OU=Leavers,OU=Staff",
            Self::Elsewhere => "OU=Elsewhere",
            Self::Users => "CN=Users",
        }
    }
}

/// Somebody, as the directory and the tenant would tell if they told the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) number: u32,
    /// The directory's object: another number is another object of the same name.
    pub(super) object: u32,
    pub(super) exists: bool,
    pub(super) place: Place,
    /// How often the name changed.
    pub(super) name: u32,
    /// How often mail and mobile changed.
    pub(super) mail: u32,
    pub(super) enabled: bool,
    pub(super) member: bool,
    pub(super) opted_out: bool,
    pub(super) privileged: bool,
    pub(super) admin: bool,
    pub(super) user: Option<User>,
    /// Whether a second user of the tenant has the same anchor.
    pub(super) twin: bool,
}

/// Somebody's user in the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) id: Guid,
    pub(super) anchor: Option<Guid>,
    /// The name, which follows the directory's.
    pub(super) name: u32,
    pub(super) licensed: bool,
    pub(super) enabled: bool,
    pub(super) guest: bool,
    pub(super) member: bool,
}

/// Everything that is true of a customer at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Company {
    pub(super) index: usize,
    pub(super) people: Vec<Person>,
    /// The selected group: whether it has another name, hides its members, or is deleted.
    pub(super) group_renamed: bool,
    pub(super) group_hidden: bool,
    pub(super) group_gone: bool,
    /// Users made so far, so that a user made anew is another one.
    pub(super) made: u32,
}

/// What is to become of somebody, by the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// In the desired set.
    In,
    /// Out of it, and why.
    Out(&'static str),
    /// Unclear: neither added nor removed.
    Kept,
    /// Unclear by one rule and out by another.
    Either,
}

/// Something that happens to a customer's people. Who is meant is taken modulo how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Hire,
    Move(u32, Place),
    Disable(u32),
    Enable(u32),
    Rename(u32),
    Mail(u32),
    Join(u32),
    Leave(u32),
    OptOut(u32),
    OptIn(u32),
    Promote(u32),
    Demote(u32),
    Licence(u32),
    Unlicence(u32),
    BlockUser(u32),
    UnblockUser(u32),
    Guest(u32),
    DeleteUser(u32),
    /// Deletes the tenant's user and makes another one for the same person.
    RemakeUser(u32),
    Delete(u32),
    Undelete(u32),
    /// Deletes the directory's object and the user, and makes new ones of the same names.
    Remake(u32),
    Twin(u32),
    Untwin(u32),
    /// The first so many of those who are in leave at once …
    Exodus(u32),
    /// … and come back.
    ComeBack,
    RenameGroup,
    HideGroup,
    ShowGroup,
    DeleteGroup,
    RestoreGroup,
}

impl Company {
    pub(super) fn new(index: usize) -> Self {
        let mut company = Self {
            index,
            people: Vec::new(),
            group_renamed: false,
            group_hidden: false,
            group_gone: false,
            made: 0,
        };
        (0..12).for_each(|_| company.hire());
        if Kind::of(index) == Kind::Ou {
            // Administrators lie outside of the staff's OU.
            for person in company.people.iter_mut().skip(9) {
                (person.admin, person.place) = (true, Place::Elsewhere);
            }
        }
        company
    }

    fn base(&self) -> u128 {
        (self.index as u128 + 1) << 96
    }

    pub(super) fn object(&self, person: &Person) -> Guid {
        Guid::from_u128(self.base() + (u128::from(person.object) << 32) + u128::from(person.number))
    }

    /// The id of the second user of somebody.
    pub(super) fn twin(&self, person: &Person) -> Guid {
        Guid::from_u128(self.base() + (0xbb_u128 << 64) + u128::from(person.number))
    }

    /// The id of a group or OU.
    pub(super) fn thing(&self, number: u32) -> Guid {
        Guid::from_u128(self.base() + (0xcc_u128 << 64) + u128::from(number))
    }

    pub(super) fn upn(&self, number: u32, name: u32) -> String {
        format!("p{number}.{name}@{}.test", NAMES[self.index])
    }

    pub(super) fn email(&self, person: &Person) -> String {
        format!("m{}.{}@{}.test", person.number, person.mail, NAMES[self.index])
    }

    pub(super) fn group_name(&self) -> &'static str {
        if self.group_renamed { "Intake People" } else { "Intake Users" }
    }

    fn make_user(&mut self, number: u32, object: Guid, name: u32) -> User {
        self.made += 1;
        let id = self.base() + (0xaa_u128 << 64) + (u128::from(self.made) << 32) + u128::from(number);
        // Every fourth is a user of the cloud, that the name alone ties to the directory.
        let anchor = (!number.is_multiple_of(4)).then_some(object);
        User {
            id: Guid::from_u128(id),
            anchor,
            name,
            licensed: true,
            enabled: true,
            guest: false,
            member: true,
        }
    }

    fn hire(&mut self) {
        let number = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        let mut person = Person {
            number,
            object: 0,
            exists: true,
            place: if number.is_multiple_of(3) { Place::Team } else { Place::Staff },
            name: 0,
            mail: 0,
            enabled: true,
            member: true,
            opted_out: false,
            privileged: false,
            admin: false,
            user: None,
            twin: false,
        };
        person.user = Some(self.make_user(number, self.object(&person), 0));
        self.people.push(person);
    }

    /// Who is meant by a number.
    pub(super) fn meant(&self, number: u32) -> usize {
        number as usize % self.people.len()
    }

    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Hire => self.hire(),
            Change::Exodus(count) => self.exodus(count),
            Change::ComeBack => self.come_back(),
            Change::RenameGroup => self.group_renamed = !self.group_renamed,
            Change::HideGroup => self.group_hidden = true,
            Change::ShowGroup => self.group_hidden = false,
            Change::DeleteGroup => self.group_gone = true,
            Change::RestoreGroup => self.group_gone = false,
            Change::RemakeUser(who) => {
                let at = self.meant(who);
                let person = self.people[at].clone();
                self.people[at].user = Some(self.make_user(person.number, self.object(&person), person.name));
            }
            Change::Remake(who) => {
                let at = self.meant(who);
                self.people[at].object += 1;
                self.people[at].twin = false;
                let person = self.people[at].clone();
                self.people[at].user = Some(self.make_user(person.number, self.object(&person), person.name));
            }
            other => self.change_person(other),
        }
    }

    fn change_person(&mut self, change: Change) {
        let count = self.people.len();
        let with = |who: u32| who as usize % count;
        match change {
            Change::Move(who, place) => self.people[with(who)].place = place,
            Change::Disable(who) => self.people[with(who)].enabled = false,
            Change::Enable(who) => self.people[with(who)].enabled = true,
            Change::Mail(who) => self.people[with(who)].mail += 1,
            Change::OptOut(who) => self.people[with(who)].opted_out = true,
            Change::OptIn(who) => self.people[with(who)].opted_out = false,
            Change::Promote(who) => self.people[with(who)].privileged = true,
            Change::Demote(who) => self.people[with(who)].privileged = false,
            Change::Delete(who) => self.people[with(who)].exists = false,
            Change::Undelete(who) => self.people[with(who)].exists = true,
            Change::Twin(who) => self.people[with(who)].twin = true,
            Change::Untwin(who) => self.people[with(who)].twin = false,
            Change::DeleteUser(who) => self.people[with(who)].user = None,
            Change::Rename(who) => {
                let person = &mut self.people[with(who)];
                person.name += 1;
                let name = person.name;
                person.user.iter_mut().for_each(|user| user.name = name);
            }
            Change::Join(who) | Change::Leave(who) => {
                let person = &mut self.people[with(who)];
                person.member = matches!(change, Change::Join(_));
                let member = person.member;
                person.user.iter_mut().for_each(|user| user.member = member);
            }
            Change::Licence(who) => self.user(who, |user| user.licensed = true),
            Change::Unlicence(who) => self.user(who, |user| user.licensed = false),
            Change::BlockUser(who) => self.user(who, |user| user.enabled = false),
            Change::UnblockUser(who) => self.user(who, |user| user.enabled = true),
            Change::Guest(who) => self.user(who, |user| user.guest = !user.guest),
            _ => {}
        }
    }

    fn user(&mut self, who: u32, change: impl FnMut(&mut User)) {
        let at = self.meant(who);
        self.people[at].user.iter_mut().for_each(change);
    }

    fn exodus(&mut self, count: u32) {
        for person in self.people.iter_mut().filter(|person| !person.admin).take(count as usize) {
            person.place = Place::Elsewhere;
            person.member = false;
            person.user.iter_mut().for_each(|user| (user.member, user.licensed) = (false, false));
        }
    }

    fn come_back(&mut self) {
        for person in self.people.iter_mut().filter(|person| !person.admin) {
            (person.place, person.member, person.enabled, person.exists) = (Place::Staff, true, true, true);
            if let Some(user) = &mut person.user {
                (user.member, user.licensed, user.enabled, user.guest) = (true, true, true, false);
            }
        }
    }

    /// What the directory of this moment and the tenant of another one tell together.
    pub(super) fn with_tenant_of(&self, other: &Self) -> Self {
        let mut mixed = self.clone();
        mixed.people.extend(
            other
                .people
                .iter()
                .skip(self.people.len())
                .map(|person| Person { exists: false, ..person.clone() }),
        );
        for person in &mut mixed.people {
            let there = other.people.get(person.number as usize);
            (person.user, person.twin) =
                there.map_or((None, false), |there| (there.user.clone(), there.twin));
        }
        if Kind::of(self.index).is_of_tenant() {
            mixed.group_gone = other.group_gone;
            mixed.group_hidden = other.group_hidden;
            mixed.group_renamed = other.group_renamed;
        }
        mixed
    }

    /// Who an account is, by its id; nobody if the object, or the user, does not exist any more.
    pub(super) fn person_of(&self, id: Guid) -> Option<&Person> {
        self.people.iter().find(|person| match Kind::of(self.index).is_of_tenant() {
            true => person.user.as_ref().is_some_and(|user| user.id == id),
            false => person.exists && self.object(person) == id,
        })
    }

    /// What is to become of an account; `narrow` for a policy that selects the team alone, `link` is the
    /// tenant user that the account is tied to already.
    pub(super) fn fate(&self, account_type: AccountType, id: Guid, narrow: bool, link: Option<Guid>) -> Fate {
        let Some(person) = self.person_of(id) else { return Fate::Out("not-in-scope") };
        match (Kind::of(self.index), account_type) {
            (Kind::Licensed | Kind::EntraGroup, _) => self.fate_in_tenant(person),
            (Kind::Ou, AccountType::Administrator) => match (person.admin, person.place, person.enabled) {
                (false, ..) => Fate::Out("not-in-scope"),
                (true, Place::Users, _) => Fate::Out("unsupported-container"),
                (true, _, false) => Fate::Out("directory-disabled"),
                (true, ..) => Fate::In,
            },
            (kind, _) => self.fate_in_directory(person, kind, narrow, link),
        }
    }

    fn fate_in_tenant(&self, person: &Person) -> Fate {
        let Some(user) = &person.user else { return Fate::Out("not-in-scope") };
        match () {
            () if Kind::of(self.index) == Kind::EntraGroup && !user.member => Fate::Out("not-in-scope"),
            () if user.guest => Fate::Out("guest"),
            () if !user.enabled => Fate::Out("tenant-disabled"),
            () if !user.licensed => Fate::Out("unlicensed"),
            () => Fate::In,
        }
    }

    fn fate_in_directory(&self, person: &Person, kind: Kind, narrow: bool, link: Option<Guid>) -> Fate {
        let selected = match kind {
            Kind::Ou if narrow => person.place == Place::Team,
            Kind::Ou => matches!(person.place, Place::Staff | Place::Team | Place::Leavers),
            _ => person.member,
        };
        match () {
            () if !selected => Fate::Out("not-in-scope"),
            () if person.place == Place::Users => Fate::Out("unsupported-container"),
            () if person.place == Place::Leavers || person.opted_out => Fate::Out("excluded"),
            () if person.privileged => Fate::Out("privileged-account"),
            () if !person.enabled => Fate::Out("directory-disabled"),
            () => self.fate_by_user(person, link),
        }
    }

    fn fate_by_user(&self, person: &Person, link: Option<Guid>) -> Fate {
        let object = self.object(person);
        let qualifies = |user: &User| match () {
            () if user.guest => Fate::Out("guest"),
            () if !user.enabled => Fate::Out("tenant-disabled"),
            () if !user.licensed => Fate::Out("unlicensed"),
            () => Fate::In,
        };
        let is_theirs = |user: &User| match user.anchor {
            Some(anchor) => anchor == object,
            None => user.name == person.name || link == Some(user.id),
        };
        let user = person.user.as_ref().filter(|user| is_theirs(user));
        match (user, person.twin) {
            (None, false) => Fate::Out("no-tenant-match"),
            (Some(user), false) => qualifies(user),
            (Some(user), true) if qualifies(user) == Fate::In => Fate::Kept,
            // Of two users one may be the known one, and not do; a twin alone is an ordinary user.
            (_, true) => Fate::Either,
        }
    }
}
