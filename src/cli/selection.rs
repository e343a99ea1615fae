//! Which customers a command is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cli::exit::Failure;
use crate::model::digest::Digest;
use crate::model::text::Text;
use crate::policy::fleet::{Customer, Fleet};
use crate::ports::register::RegisterReader;
use crate::reconcile::choose::{self, UnknownCustomer, nearest};
use crate::reconcile::judge::Job;

/// How many customers are named to somebody who named none.
const SHORT: usize = 10;

/// Returns who is meant: as [`choose::choose`].
///
/// # Errors
/// A name that neither tree nor register knows, with the nearest one that exists.
pub fn choose(fleet: &Fleet, registered: &[Text], names: &[String]) -> Result<Vec<Job>, Failure> {
    Ok(choose::choose(fleet, registered, names)?)
}

/// Returns those of the names that are meant.
///
/// # Errors
/// As [`choose()`].
pub fn named<'a>(all: &BTreeSet<&'a Text>, names: &[String]) -> Result<BTreeSet<&'a Text>, Failure> {
    Ok(choose::named(all, names)?)
}

/// Returns those of the register's customers that are meant.
///
/// # Errors
/// As [`choose()`], and the register's.
pub async fn registered(register: &dyn RegisterReader, names: &[String]) -> Result<BTreeSet<Text>, Failure> {
    let known = register.customers().await?;
    let chosen = named(&known.iter().collect(), names)?;
    Ok(chosen.into_iter().cloned().collect())
}

/// Returns the one customer of the tree that a command is about.
///
/// # Errors
/// No name, more than one, or one that the tree does not have, with the nearest one that exists.
pub fn one<'a>(fleet: &'a Fleet, names: &[String]) -> Result<&'a Customer, Failure> {
    let [name] = names else {
        return Err(Failure::new("this command is about exactly one customer")
            .hint(format!("name it by `--customer NAME`: {}", listed(fleet))));
    };
    fleet.customers.get(name.as_str()).ok_or_else(|| {
        let failure = Failure::new(format!("the tree has no customer `{name}`"));
        match nearest(fleet.customers.keys(), name) {
            Some(known) => failure.hint(format!("did you mean `{known}`?")),
            None => failure.hint(listed(fleet)),
        }
    })
}

/// Says which customers a tree has, the first of them by name.
fn listed(fleet: &Fleet) -> String {
    let names: Vec<&str> = fleet.customers.keys().take(SHORT).map(Text::as_str).collect();
    match fleet.customers.len().saturating_sub(names.len()) {
        _ if names.is_empty() => "the tree has no customer".to_owned(),
        0 => format!("the tree has {}", names.join(", ")),
        more => format!("the tree has {} and {more} more", names.join(", ")),
    }
}

impl From<UnknownCustomer> for Failure {
    fn from(unknown: UnknownCustomer) -> Self {
        let failure = Self::of("", &unknown);
        match unknown.nearest {
            Some(known) => failure.hint(format!("did you mean `{known}`?")),
            None if unknown.nobody => failure.hint("neither the tree nor the register has any customer"),
            None => failure.hint("`intake status` lists the customers of the register"),
        }
    }
}

/// Lets held removals of these digests go ahead, as if the customers' files said so. `who` is who says it.
pub fn approve(jobs: &mut [Job], digests: &[Digest], who: &Text) {
    for job in jobs {
        if let Job::Listed(customer) = job {
            let approved = digests.iter().map(|digest| (*digest, who.clone()));
            Arc::make_mut(customer).approve_once.extend(approved);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::reconcile::fakes::customer;

    fn fleet(names: &[&str]) -> Fleet {
        let customers: BTreeMap<_, _> =
            names.iter().map(|name| (Text::from(*name), customer(name))).collect();
        Fleet { revision: Text::from("tree"), customers, names_are_known: true }
    }

    fn names(jobs: &[Job]) -> Vec<&str> {
        jobs.iter().map(|job| job.name().as_str()).collect()
    }

    #[test]
    fn all_are_meant_by_default_also_who_left_the_tree() {
        let jobs = choose(&fleet(&["b", "a"]), &[Text::from("b"), Text::from("gone")], &[]).expect("jobs");
        assert_eq!(names(&jobs), ["a", "b", "gone"]);
        assert!(matches!(jobs[2], Job::Absent { names_are_known: true, .. }));
        assert!(matches!(jobs[1], Job::Listed(_)));
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_nearest_one() {
        let wanted = |name: &str| choose(&fleet(&["contoso", "fabrikam"]), &[], &[name.to_owned()]);
        assert_eq!(names(&wanted("fabrikam").expect("jobs")), ["fabrikam"]);
        let failure = wanted("contosso").expect_err("unknown");
        assert_eq!(failure.what, "there is no customer `contosso`");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `contoso`?"));
        let failure = wanted("zzz").expect_err("unknown");
        assert!(failure.hint.is_some_and(|hint| !hint.contains("did you mean")));
    }

    #[test]
    fn a_command_about_one_customer_takes_no_fewer_and_no_more() {
        let fleet = fleet(&["contoso", "fabrikam"]);
        let wanted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            one(&fleet, &names).map(|customer| customer.name.as_str())
        };
        assert_eq!(wanted(&["fabrikam"]), Ok("fabrikam"));
        for (names, hint) in [
            (&[][..], "name it by `--customer NAME`: the tree has contoso, fabrikam"),
            (&["contoso", "fabrikam"], "name it by `--customer NAME`: the tree has contoso, fabrikam"),
            (&["contosso"], "did you mean `contoso`?"),
            (&["zzz"], "the tree has contoso, fabrikam"),
        ] {
            assert_eq!(wanted(names).expect_err("refused").hint.as_deref(), Some(hint), "{names:?}");
        }
        let many: Vec<String> = (0..12).map(|number| format!("customer-{number:02}")).collect();
        let many = self::fleet(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            one(&many, &[])
                .expect_err("none")
                .hint
                .is_some_and(|hint| hint.ends_with("customer-09 and 2 more"))
        );
    }

    #[test]
    fn an_approval_counts_for_this_run_alone() {
        let mut jobs = choose(&fleet(&["a"]), &[], &[]).expect("jobs");
        approve(&mut jobs, &[Digest::of(b"held")], &Text::from("jane"));
        let Job::Listed(customer) = &jobs[0] else { panic!("listed") };
        assert!(customer.approve_once.contains_key(&Digest::of(b"held")));
    }
}
