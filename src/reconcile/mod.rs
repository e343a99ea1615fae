//! One turn for one customer: observe, plan, apply, deliver.

pub mod apply;
pub mod candidate;
pub mod choose;
pub mod contact_list;
pub mod deliver;
pub mod documentation;
#[cfg(test)]
pub mod fakes;
pub mod fleet_room;
pub mod judge;
pub mod make_contact;
pub mod meant;
pub mod missing_contacts;
pub mod notice;
pub mod observe;
pub mod provision;
pub mod publish;
pub mod read_from;
pub mod read_once;
pub mod readings;
pub mod replay;
pub mod turn;
