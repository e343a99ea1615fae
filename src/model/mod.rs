//! The nouns: keys normalised once, people, licences, accounts, readings. Names nothing else.

pub mod account;
pub mod addresses;
pub mod confirmation;
pub mod contact;
pub mod contact_match;
pub mod digest;
pub mod directory;
pub mod dn;
pub mod duration;
pub mod event;
pub mod guid;
pub mod listing;
pub mod network;
pub mod observation;
pub mod publication;
pub mod read_from;
pub mod reading;
pub mod reading_digest;
pub mod register;
pub mod sid;
pub mod standing;
pub mod tenant;
pub mod tenant_group;
pub mod text;
pub mod tree_status;
