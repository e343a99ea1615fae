//! Microsoft 365 tenants through Microsoft Graph.
