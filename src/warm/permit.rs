//! Whoever starts a warm may want to be asked before it builds: the daemon decides how many builds there are at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::worker::{Answer, Question};

/// A question, and where its answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// Who must permit builds.
#[derive(Clone, Debug, Default)]
pub enum Permit {
    /// Nobody wants to be asked.
    #[default]
    Open,
    /// Here.
    Ask(Keeper),
}

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Keeper {
    next: Arc<AtomicU64>,
    asked: mpsc::UnboundedSender<Asked>,
}

impl Permit {
    /// Of whoever takes the questions that come out at the other end.
    #[must_use]
    pub fn ask() -> (Self, mpsc::UnboundedReceiver<Asked>) {
        let (asked, questions) = mpsc::unbounded_channel();
        let next = Arc::new(AtomicU64::new(1));
        (Self::Ask(Keeper { next, asked }), questions)
    }

    /// Whether a target may be built. Who does not answer any more wants nothing to be built any more.
    pub(super) async fn may_build(&self, target: &str, fingerprint: String) -> Answer {
        let Self::Ask(keeper) = self else {
            return Answer::Go;
        };
        let question = Question {
            id: keeper.next.fetch_add(1, Ordering::Relaxed),
            target: target.to_owned(),
            fingerprint,
        };
        let (answer, answered) = oneshot::channel();
        if keeper.asked.send(Asked { question, answer }).is_err() {
            return Answer::Stopping;
        }
        answered.await.unwrap_or(Answer::Stopping)
    }
}
