//! `RUN --mount=type=ssh` reaches the developer's own agent, when the developer allows it.

use insta::assert_snapshot;

use crate::support::engines::{Scene, engines, script};
use crate::support::prewarm::{Machine, Prewarm, Warmed};
use crate::support::repo::{ENGINE, Repo};
use crate::support::ssh_agent::SshAgent;

/// Asks the agent for its keys (`SSH2_AGENTC_REQUEST_IDENTITIES`) and prints the answer's bytes. The BuildKit image has
/// perl.
const ASK: &str = r#"use IO::Socket::UNIX; \
    my $agent = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die "no agent: $!\n"; \
    syswrite $agent, "\0\0\0\1\13"; \
    read($agent, my $length, 4) == 4 or die "no answer\n"; \
    read $agent, my $answer, unpack "N", $length; \
    print "identities ", unpack("H*", $answer), "\n""#;

/// A project whose second step asks the agent.
fn project(scene: &Scene) -> Repo {
    script(&["image", "buildkit"]);
    let repo = scene.project();
    let target = format!("cache = \"{}\"\nssh = [\"default\"]", scene.cache());
    repo.configure(ENGINE, &target)
        .file(
            "Dockerfile",
            format!(
                "FROM {} AS builder\nCOPY deps.txt /\nRUN --mount=type=ssh,required=true perl -e '{ASK}'\n",
                engines().buildkit
            ),
        )
        .commit();
    repo
}

/// A developer who allows the agent.
fn consenting() -> Machine {
    let machine = Machine::new();
    machine.configure("[consent]\nssh = [\"default\"]\n");
    machine
}

fn with_agent(command: Prewarm, socket: &str) -> Prewarm {
    command
        .env("SSH_AUTH_SOCK", socket)
        .redact(socket, "[SOCKET]")
}

/// The lines that steps wrote.
fn lines(warmed: &Warmed) -> Vec<&str> {
    let logs = warmed.events.iter().filter(|event| event["event"] == "log");
    logs.filter_map(|event| event["line"].as_str()).collect()
}

#[test]
fn a_step_reaches_the_agent_and_sees_its_key() {
    let scene = Scene::new();
    let repo = project(&scene);
    let agent = SshAgent::new();
    let machine = consenting();
    let warmed = with_agent(machine.warm(repo.path()), &agent.socket()).json();
    warmed.is("warm");
    // SSH2_AGENT_IDENTITIES_ANSWER, one key.
    let seen = lines(&warmed);
    assert!(
        seen.iter()
            .any(|line| line.contains("identities 0c00000001") && line.contains(&agent.key)),
        "{} is not in {seen:#?}",
        agent.key
    );

    // What a step saw through the agent is no part of the key.
    let again = with_agent(machine.warm(repo.path()), &SshAgent::new().socket()).json();
    again.is("already-warm");
}

#[test]
fn without_consent_no_agent_is_handed_out() {
    let scene = Scene::new();
    let repo = project(&scene);
    let agent = SshAgent::new();
    let refused = with_agent(Machine::new().warm(repo.path()), &agent.socket());
    assert_snapshot!(refused.run().failure(), @r#"
    exit 2
    error: target builder: ssh agent `default` is not allowed by your configuration
    hint: if you trust this repository with it, write in [consent] of ~/.config/prewarm/config.toml: ssh = ["default"]
    "#);
}

#[test]
fn an_agent_that_is_not_there_is_named_before_anything_is_built() {
    let scene = Scene::new();
    let repo = project(&scene);
    assert_snapshot!(consenting().warm(repo.path()).run().failure(), @"
    exit 2
    error: target builder: ssh agent default: SSH_AUTH_SOCK is not set
    hint: start an agent with `eval $(ssh-agent)` and add a key with `ssh-add`
    ");
    let nowhere = with_agent(consenting().warm(repo.path()), "/nonexistent/agent");
    assert_snapshot!(nowhere.run().failure(), @"
    exit 3
    error: target builder: ssh agent default: nothing answers at [SOCKET] (SSH_AUTH_SOCK): No such file or directory (os error 2)
    hint: start an agent with `eval $(ssh-agent)` and add a key with `ssh-add`
    ");
    let mut ended = SshAgent::new();
    ended.kill();
    let left = with_agent(consenting().warm(repo.path()), &ended.socket());
    assert_snapshot!(left.run().failure(), @"
    exit 3
    error: target builder: ssh agent default: nothing answers at [SOCKET] (SSH_AUTH_SOCK): Connection refused (os error 111)
    hint: start an agent with `eval $(ssh-agent)` and add a key with `ssh-add`
    ");
}
