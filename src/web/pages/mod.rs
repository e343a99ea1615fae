//! The dashboard: pages for people, made by the server whole, and kept fresh by a little script where there is one.

pub mod account;
pub mod accounts;
pub mod addresses;
pub mod assets;
pub mod audit;
pub mod csv;
pub mod customer;
pub mod dashboard;
pub mod event_row;
pub mod fault;
pub mod fleet;
pub mod form;
pub mod frame;
pub mod link;
pub mod live;
pub mod moment;
pub mod orders;
pub mod plot;
pub mod prose;
pub mod provider;
pub mod query;
pub mod reports;
pub mod sign_in;
pub mod standing;
pub mod visitor;
pub mod word;
