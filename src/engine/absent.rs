//! An engine that is not here yet.
use super::Engine;
use crate::audit::recorder::Running;
use crate::model::{
    action::Action,
    call::Call,
    fault::Fault,
    operation::{Operation, Resource, ResourceKind},
};
use crate::policy::authorized::Authorized;
use crate::store::work::Work;
pub struct AbsentOp;
impl Operation for AbsentOp {
    fn action(&self) -> Action {
        Action::Unroutable
    }
    fn resource(&self) -> Resource {
        Resource::new(ResourceKind::Server, "server")
    }
}
#[derive(Debug, Default)]
pub struct Absent;
impl Engine for Absent {
    type Op = AbsentOp;
    fn parse(&self, _: Call) -> Result<AbsentOp, Fault> {
        Err(Fault::not_found("this engine is not here yet"))
    }
    fn run<'a>(&'a self, _: &'a Authorized<AbsentOp>, _: &'a mut Work) -> Running<'a> {
        Box::pin(async { Err(Fault::Internal("absent")) })
    }
}
