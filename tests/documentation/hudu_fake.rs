//! How the stand-in for Hudu answers.

use serde_json::Value;

use super::fake::{Asked, Place, Told, World, told};

pub(super) fn answer(_world: &mut World, _asked: &Asked<'_>, _place: &mut Option<Place>) -> Told {
    told(404, "application/json", Value::Null)
}
