//! Holds every request that any test makes against the description: that its path is described, that what was read of its body and query
//! is, and that the answer has the shape and status that the description says. In builds without debug assertions it does nothing.

#[cfg(debug_assertions)]
pub use watching::Watch;

#[cfg(not(debug_assertions))]
#[derive(Debug)]
pub struct Watch;

#[cfg(not(debug_assertions))]
impl Watch {
    #[must_use]
    pub fn begin(_call: &crate::model::call::Call) -> Self {
        Self
    }

    #[must_use]
    pub fn understood(self, _action: crate::model::action::Action) -> Self {
        self
    }

    pub fn answered(&self, _outcome: &Result<crate::model::reply::Reply, crate::model::fault::Fault>) {}
}

#[cfg(any(debug_assertions, test))]
mod watching {
    use crate::model::action::Action;
    use crate::model::call::{Call, Verb};
    use crate::model::fault::Fault;
    use crate::model::mount::Kind;
    use crate::model::reading::{self, Asked};
    use crate::model::reply::Reply;

    use super::super::compare;
    use super::super::route::Route;
    use super::super::{ANY_REQUEST, route_of};

    /// One request on its way.
    #[derive(Debug)]
    pub struct Watch {
        kind: Kind,
        verb: Verb,
        tail: String,
        route: Option<&'static Route>,
    }

    impl Watch {
        /// Before the request is understood, on the thread that understands it.
        #[must_use]
        pub fn begin(call: &Call) -> Self {
            reading::begin();
            Self { kind: call.mount.kind, verb: call.verb, tail: call.tail.clone(), route: None }
        }

        /// After it, on the same thread.
        #[must_use]
        pub fn understood(self, action: Action) -> Self {
            let asked = reading::end();
            let route = route_of(self.kind, self.verb, &self.tail);
            if let Some(complaint) = self.complaint(route, &asked, action) {
                complain(&complaint);
            }
            Self { route, ..self }
        }

        pub fn answered(&self, outcome: &Result<Reply, Fault>) {
            let Some(route) = self.route else { return };
            let wrong = match outcome {
                Ok(reply) => compare::reply(route, &reply.answer),
                Err(fault) if ANY_REQUEST.contains(&fault.status()) || route.also.contains(&fault.status()) => Ok(()),
                Err(fault) => Err(format!("the status {} is not described, put it into `.also(&[…])`", fault.status())),
            };
            if let Err(wrong) = wrong {
                complain(&format!("{}: {wrong}", self.place(route)));
            }
        }

        fn complaint(&self, route: Option<&'static Route>, asked: &Asked, action: Action) -> Option<String> {
            let Some(route) = route else {
                // What names a person or a credential may stand in a path: only its first segment is shown.
                let head = self.tail.split('/').next().unwrap_or_default();
                return Some(format!(
                    "a path below a `{}` mount that begins with `{head}` is understood for the verb `{}` and not described: \
                     add a `Route` for it to src/engine/openapi/paths/",
                    self.kind.name(),
                    self.verb.name()
                ));
            };
            if !route.actions.contains(&action) {
                return Some(format!("{}: add the action `{action}` to its actions", self.place(route)));
            }
            compare::asked(route, asked).err().map(|wrong| format!("{}: {wrong}", self.place(route)))
        }

        fn place(&self, route: &Route) -> String {
            format!("{} {} `{}` (src/engine/openapi/paths/)", self.kind.name(), self.verb.name(), route.path)
        }
    }

    fn complain(what: &str) {
        debug_assert!(what.is_empty(), "the description of the API and the code differ: {what}");
    }
}
