//! Deliveries to webhooks.
