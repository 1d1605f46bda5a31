//! A command in a container whose standard streams are a connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::TryStreamExt;
use tokio_util::io::StreamReader;

use super::stream::{BUFFER, BoxedStream, settle};
use super::{Engine, EngineError, failed};

/// How much of what the command says on its standard error is kept.
const STDERR_LIMIT: usize = 16 << 10;

/// How long BuildKit may keep silent before it is believed to be there.
const GREETING_TIME: Duration = Duration::from_secs(5);

/// `buildctl dial-stdio`, which joins its standard streams with BuildKit's socket. The inner error is the command's.
pub(super) async fn dial_stdio(
    engine: &Engine,
    container: &str,
) -> Result<io::Result<BoxedStream>, EngineError> {
    let action = || {
        failed(format!(
            "run `buildctl dial-stdio` in the container {container}"
        ))
    };
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec!["buildctl", "dial-stdio"]),
        ..CreateExecOptions::default()
    };
    let exec = engine
        .docker
        .create_exec(container, options)
        .await
        .map_err(action())?
        .id;
    let start = StartExecOptions {
        output_capacity: Some(BUFFER),
        ..StartExecOptions::default()
    };
    let started = engine
        .docker
        .start_exec(&exec, Some(start))
        .await
        .map_err(action())?;
    let StartExecResults::Attached { output, input } = started else {
        unreachable!("the command is started attached")
    };

    let stderr = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&stderr);
    let stdout = output
        .map_err(io::Error::other)
        .try_filter_map(move |part| {
            let bytes = match part {
                LogOutput::StdErr { message } => {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = STDERR_LIMIT.saturating_sub(said.len());
                    said.extend_from_slice(&message[..message.len().min(room)]);
                    None
                }
                // An empty chunk would be taken for the end.
                other => Some(other.into_bytes()).filter(|bytes| !bytes.is_empty()),
            };
            std::future::ready(Ok(bytes))
        });

    let docker = engine.docker.clone();
    let end = Box::pin(async move {
        let code = docker
            .inspect_exec(&exec)
            .await
            .map_err(io::Error::other)?
            .exit_code;
        let said = stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        match (code, said.is_empty()) {
            (Some(0), _) | (None, true) => Ok(()),
            (Some(code), true) => Err(io::Error::other(format!(
                "`buildctl dial-stdio` ended with exit code {code}"
            ))),
            (_, false) => Err(io::Error::other(format!("`buildctl dial-stdio`: {said}"))),
        }
    });
    Ok(settle(
        StreamReader::new(Box::pin(stdout)),
        input,
        Some(end),
        GREETING_TIME,
    )
    .await)
}
