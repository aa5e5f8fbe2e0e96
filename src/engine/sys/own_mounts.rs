//! `sys/internal/ui/mounts`: what answers where, for command lines and user interfaces. Every account may know the names and types of
//! mounts; what is in them is for policies to say.

use crate::model::document::Node;
use crate::model::fault::Fault;
use crate::model::path::CanonicalPath;
use crate::model::reply::Reply;
use crate::store::directory::Snapshot;

use super::mounts::shown;

pub(super) fn run(snapshot: &Snapshot, path: Option<&str>) -> Result<Reply, Fault> {
    match path {
        None => {
            let brief = |methods: bool| {
                let mut rows = shown::on_side(snapshot, methods);
                rows.sort_by(|a, b| a.0.cmp(&b.0));
                Node::Object(rows.into_iter().map(|(name, mount)| (name, shown::brief(mount))).collect())
            };
            Ok(Reply::data(Node::object([("secret", brief(false)), ("auth", brief(true))])))
        }
        Some(path) => {
            // Vault's clients take a 404 for an old server and go on with KV version 1.
            let path = CanonicalPath::from_text(path).map_err(|refusal| Fault::invalid(refusal.0))?;
            let mount = snapshot.mounts().iter().find(|mount| path.below(&mount.path).is_some()).ok_or(Fault::Denied)?;
            let mut members = shown::whole(mount);
            members.push(("path".to_owned(), Node::text(format!("{}/", mount.path))));
            Ok(Reply::data(Node::Object(members)))
        }
    }
}
