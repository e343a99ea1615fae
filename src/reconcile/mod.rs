//! One turn for one customer: observe, plan, apply, deliver.
