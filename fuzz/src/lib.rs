//! What each fuzz target does with bytes from outside. `tests/fuzzed.rs` replays the stored corpus through
//! these same functions. More is expected than that nothing panics.

use std::cell::OnceCell;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use intake::adapters::ldif::LdifDirectory;
use intake::adapters::snapshot::SnapshotTenant;
use intake::adapters::tenant_object::{Absent, Listing, UserRow, read_listing, user};
use intake::cli::saved_plan;
use intake::model::directory::Directory;
use intake::model::dn::Dn;
use intake::model::reading::Reading;
use intake::model::tenant::{Tenant, TenantBuilder};
use intake::model::text::Text;
use intake::policy::check::{Checked, TreeFile, check};
use intake::policy::limits::Limits;
use intake::ports::source::{DirectoryPort as _, TenantPort as _, Unwatched};
use serde_json::Value;

/// Stands between the files of a tree.
const NEXT_FILE: &[u8] = b"\n===\n";

/// A policy tree: checked twice, and in another order, it says the same; and every problem can be drawn.
pub fn tree(data: &[u8]) {
    let files: Vec<TreeFile> = split(data)
        .into_iter()
        .zip(0..)
        .map(|(content, number)| TreeFile {
            path: PathBuf::from(format!("{number:03}.yaml")),
            content: Ok(content.to_vec()),
        })
        .collect();
    let limits = Limits::default();
    let first = check(&files, &limits);
    let mut reversed = files;
    reversed.reverse();
    let second = check(&reversed, &limits);
    assert_eq!(shown(&first), shown(&second), "the order of files matters");
    for problem in &first.problems {
        assert!(!problem.render(true).is_empty());
        let plain = problem.render(false);
        let acts = |c: char| c.is_control() && c != '\n';
        assert!(!plain.contains(acts), "a problem acts on what shows it: {plain:?}");
    }
    for (name, customer) in &first.fleet.customers {
        assert_eq!(*name, customer.name);
    }
}

fn shown(checked: &Checked) -> String {
    format!("{:?}\n{:?}", checked.fleet, checked.problems)
}

fn split(data: &[u8]) -> Vec<&[u8]> {
    let mut files = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(NEXT_FILE.len()).position(|window| window == NEXT_FILE) {
        files.push(&rest[..at]);
        rest = &rest[at + NEXT_FILE.len()..];
    }
    files.push(rest);
    files
}

/// A directory in a file: it is read twice alike, and what proves itself whole does not do so when it is
/// cut, with fewer people.
pub fn ldif(data: &[u8]) {
    let Reading::Complete(whole) = read_ldif(data) else { return };
    let Reading::Complete(again) = read_ldif(data) else { panic!("read once and not twice") };
    assert_eq!(directory_shown(&whole), directory_shown(&again));
    for person in &whole.people {
        assert!(Dn::parse(&whole.dn_of(person)).is_ok(), "{}", whole.dn_of(person));
        assert!((person.container.0 as usize) < whole.containers.len());
    }
    for group in &whole.groups {
        for member in &group.members {
            assert!(member.person().is_none_or(|index| (index as usize) < whole.people.len()));
            assert!(member.group().is_none_or(|index| (index as usize) < whole.groups.len()));
        }
    }
    if whole.origin.is_some() {
        return;
    }
    let cut = sum(data) % data.len();
    if let Reading::Complete(part) = read_ldif(&data[..cut]) {
        let count = |directory: &Directory| directory.people.len() + directory.unidentified.len();
        assert!(part.origin.is_some() || count(&part) == count(&whole), "cut at {cut} and whole");
    }
}

fn directory_shown(directory: &Directory) -> String {
    let mut directory = directory.clone();
    // The time at which the file was written.
    directory.origin = None;
    format!("{directory:?}")
}

fn read_ldif(data: &[u8]) -> Reading<Directory> {
    in_file(data, |path| {
        let source = LdifDirectory::new(Text::from("main"), path.to_owned(), "x.ldif".to_owned());
        run(async { source.read(&Unwatched).await })
    })
}

/// A distinguished name: every form in which it is written is the same name again, and so is what it is
/// taken apart into.
pub fn dn(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let dn = match Dn::parse(text) {
        Ok(dn) => dn,
        Err(invalid) => return assert!(invalid.at <= text.len(), "{invalid:?}"),
    };
    let parse =
        |text: &str| Dn::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error} at {}", error.at));
    assert_eq!(parse(dn.as_str()), dn);
    assert_eq!(parse(&dn.to_string()), dn);
    let plain = dn.in_plain_sight();
    assert_eq!(parse(&plain), dn, "{plain:?}");
    assert!(!plain.contains(char::is_control), "{plain:?}");
    let json = serde_json::to_string(&dn).expect("JSON");
    assert_eq!(serde_json::from_str::<Dn>(&json).expect("a name"), dn);
    assert!(dn.is_under(&dn));
    let _ = (dn.rdn_value(), dn.dns_name(), dn.has_domain_component());
    if let Some((rdn, parent)) = dn.split_parent() {
        assert_eq!(parse(parent.as_str()), parent);
        assert_eq!(dn.parent_key(), Some(parent.key()));
        assert!(dn.is_under(&parent) && !parent.is_under(&dn));
        let relative = dn.relative_to(&parent).expect("it lies below its parent");
        assert_eq!(parse(relative.as_str()), relative);
        assert_eq!(relative.below(&parent), dn);
        assert_eq!(parse(relative.below(&parent).as_str()), dn);
        assert_eq!(parse(rdn).below(&parent), dn);
    }
}

/// A page of a tenant's users: no user twice, nothing taken for the end that says where it goes on, and
/// the same page is the same users.
pub fn graph(data: &[u8]) {
    let mut builder = TenantBuilder::new();
    let mut listing = Listing::default();
    let mut each = |row: UserRow| {
        let user = user(row, Absent::Hidden, &mut builder).map_err(|fault| fault.to_string())?;
        builder.user(user);
        Ok(())
    };
    let mut deserializer = serde_json::Deserializer::from_slice(data);
    let read = read_listing(&mut deserializer, &mut listing, &mut each).and_then(|()| deserializer.end());
    let page = builder.finish();
    expect_sound(&page);

    let Reading::Complete(tenant) = read_snapshot(data) else { return };
    expect_sound(&tenant);
    assert!(listing.next_link.is_none() || read.is_err(), "there are more users, and it is complete");
    let Reading::Complete(again) = read_snapshot(data) else { panic!("read once and not twice") };
    assert_eq!(format!("{tenant:?}"), format!("{again:?}"));
    if read.is_ok() {
        assert_eq!(format!("{:?}", page.users), format!("{:?}", tenant.users));
    }
}

fn expect_sound(tenant: &Tenant) {
    let mut ids: Vec<_> = tenant.users.iter().map(|user| user.id).collect();
    ids.sort_unstable();
    assert!(ids.is_sorted_by(|left, right| left < right), "a user twice");
    for user in &tenant.users {
        assert!(!user.user_principal_name.trim().is_empty());
        let licences = tenant.licences_of(user);
        assert!(licences.is_sorted_by(|left, right| left.sku < right.sku), "a licence twice");
    }
    if let Some(Reading::Complete(groups)) = &tenant.groups {
        for group in groups {
            assert!(group.users.is_sorted_by(|left, right| left < right), "a member twice");
        }
    }
}

fn read_snapshot(data: &[u8]) -> Reading<Tenant> {
    in_file(data, |path| {
        let source = SnapshotTenant::new(path.to_owned(), "x.json".to_owned());
        run(async { source.read(&Unwatched).await })
    })
}

/// A saved plan: one that is taken is taken again however it is laid out, for the same digest and the same
/// customers; and none is taken in which a value was changed.
pub fn plan(data: &[u8]) {
    let told = |data: &[u8]| {
        let loaded = in_file(data, saved_plan::load);
        loaded.ok().map(|plan| (plan.digest, plan.customers))
    };
    let taken = told(data);
    let Ok(mut value) = serde_json::from_slice::<Value>(data) else {
        assert!(taken.is_none(), "it is no JSON, and was taken");
        return;
    };
    if taken.is_none() {
        // Hardly anything carries the right seal by chance: what stands behind it is tried as well.
        saved_plan::seal_anew(&mut value);
    }
    let Some(first) = told(value.to_string().as_bytes()) else {
        assert!(taken.is_none(), "taken in one layout, and not in another");
        return;
    };
    assert!(taken.is_none_or(|taken| taken == first), "another digest in another layout");
    let laid_out = serde_json::to_string_pretty(&value).expect("JSON");
    assert_eq!(told(laid_out.as_bytes()), Some(first));
    let mut leaves = count_leaves(&value);
    let mut chosen = sum(data) % leaves.max(1);
    leaves = 0;
    if change(&mut value, &mut chosen, &mut leaves) {
        assert_eq!(told(value.to_string().as_bytes()), None, "it was edited: {value}");
    }
}

fn count_leaves(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(count_leaves).sum(),
        Value::Array(values) => values.iter().map(count_leaves).sum(),
        _ => 1,
    }
}

/// Changes the leaf of a number; returns whether there was one.
fn change(value: &mut Value, chosen: &mut usize, seen: &mut usize) -> bool {
    match value {
        Value::Object(fields) => fields.values_mut().any(|field| change(field, chosen, seen)),
        Value::Array(values) => values.iter_mut().any(|one| change(one, chosen, seen)),
        leaf => {
            *seen += 1;
            if *seen != *chosen + 1 {
                return false;
            }
            *leaf = match leaf {
                Value::String(text) => Value::String(format!("{text}x")),
                Value::Null => Value::Bool(false),
                _ => Value::Null,
            };
            true
        }
    }
}

/// A number that depends on all bytes.
fn sum(data: &[u8]) -> usize {
    data.iter().fold(17, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)))
}

/// Writes bytes to a file, the same one for the whole thread, and acts on it.
fn in_file<T>(data: &[u8], act: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static FILE: OnceCell<tempfile::NamedTempFile> = const { OnceCell::new() };
    }
    FILE.with(|file| {
        let file = file.get_or_init(|| tempfile::NamedTempFile::new().expect("a file"));
        let mut there = file.reopen().expect("the file");
        there.set_len(0).expect("emptied");
        there.write_all(data).expect("written");
        drop(there);
        act(file.path())
    })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}
