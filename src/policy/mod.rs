//! From files to a fleet: documents as written, checked, and resolved to what applies to whom.

pub mod check;
pub mod check_bind;
pub mod check_customer;
pub mod check_import;
pub mod check_selection;
pub mod check_sharing;
pub mod choice_line;
pub mod customer_drafts;
pub mod document;
pub mod document_customer;
pub mod document_import;
pub mod document_options;
pub mod document_part;
pub mod document_tenant;
pub mod fleet;
pub mod limits;
pub mod problem;
pub mod reach;
pub mod read;
pub mod resolve;
pub mod schema;
pub mod source;
pub mod value;
pub mod yaml;
