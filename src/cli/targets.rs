//! Opens the targets of the operator's file: the one place that knows which adapter speaks to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::adapters::http::HttpClient;
use crate::adapters::scim::{Scim, ScimMemory};
use crate::cli::exit::Failure;
use crate::config::operator::Operator;
use crate::config::secrets::{Owner, Secrets};
use crate::model::publication::TargetRules;
use crate::model::reading::{Fault, FaultKind};
use crate::model::text::{Text, inert};
use crate::ports::meter::Meter;
use crate::ports::publishing::{TargetPort, Targets};

/// What is remembered of targets for the life of the process: what one conversation was told holds for the next.
#[derive(Debug, Default)]
pub struct ScimMemories(Mutex<BTreeMap<Text, ScimMemory>>);

/// Opens targets with the operator's addresses and tokens.
pub struct OperatorTargets {
    operator: Arc<Operator>,
    secrets: Arc<Secrets>,
    memories: Arc<ScimMemories>,
    patience: Duration,
    meter: Arc<dyn Meter>,
}

impl OperatorTargets {
    /// Makes one. `patience` is how long throttling and faults may delay a conversation; `meter` counts what targets
    /// are asked.
    pub fn new(
        operator: Arc<Operator>,
        secrets: Arc<Secrets>,
        memories: Arc<ScimMemories>,
        patience: Duration,
        meter: Arc<dyn Meter>,
    ) -> Self {
        Self { operator, secrets, memories, patience, meter }
    }

    fn memory(&self, name: &str) -> ScimMemory {
        let mut memories = self.memories.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || ScimMemory::new(HttpClient::new().measured_by(self.meter.clone()));
        memories.entry(Text::from(name)).or_insert_with(begin).clone()
    }
}

impl Targets for OperatorTargets {
    fn rules(&self) -> BTreeMap<Text, TargetRules> {
        self.operator.targets.iter().map(|(name, target)| (name.clone(), target.rules)).collect()
    }

    fn open(&self, name: &str) -> Result<Box<dyn TargetPort>, Fault> {
        let Some(target) = self.operator.targets.get(name) else {
            let what = format!("the operator's file has no target `{}`", inert(name));
            return Err(Fault::new(FaultKind::Refused, what));
        };
        // A delivery waits for it: a later attempt may find it mended.
        let token = self.secrets.resolve(Owner::Operator, &target.token_from).map_err(|fault| {
            Fault::new(FaultKind::Transient, Failure::of("its token cannot be used", &fault).what)
        })?;
        Ok(Box::new(Scim::new(self.memory(name), &target.url, token, self.patience)?))
    }
}
