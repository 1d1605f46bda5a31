use proptest::prelude::*;

use super::*;

/// Stages as `name base line`, each followed by its instructions as `line-end name text`.
fn outline(text: &str) -> String {
    let mut lines = Vec::new();
    for stage in stages(text) {
        lines.push(format!(
            "{:?} {:?} {}",
            stage.name.unwrap_or_default(),
            stage.base,
            stage.line
        ));
        for Instruction {
            line,
            end_line,
            name,
            text,
        } in stage.instructions
        {
            lines.push(format!("  {line}-{end_line} {name} {text:?}"));
        }
    }
    lines.join("\n")
}

#[test]
fn stages_have_names_bases_and_instructions() {
    insta::assert_snapshot!(outline(
        "ARG BASE=python\n\
         # FROM comment\n\
         FROM --platform=$BUILDPLATFORM ${BASE}:3.11 AS Builder\n\
         \n\
         copy requirements.txt .\n\
         RUN pip install \\\n\
         # a comment within\n\
         \n\
         \x20   -r requirements.txt\n\
         from scratch\n\
         COPY --from=builder /x /x"
    ), @r#"
    "Builder" "${BASE}:3.11" 3
      5-5 COPY "requirements.txt ."
      6-9 RUN "pip install     -r requirements.txt"
    "" "scratch" 10
      11-11 COPY "--from=builder /x /x"
    "#);
}

#[test]
fn heredocs_belong_to_their_instruction() {
    insta::assert_snapshot!(outline(
        "FROM a\n\
         RUN <<EOF\n\
         FROM not-a-stage\n\
         # not a comment\n\
         EOF\n\
         COPY <<-'one' <<\"two\" /dest/\n\
         1\n\
         \t\tone\n\
         2\n\
         two\n\
         RUN echo \"<<EOF\" $((1<<2)) <<<word\n\
         RUN <<open\n\
         to the end"
    ), @r#"
    "" "a" 1
      2-5 RUN "<<EOF\nFROM not-a-stage\n# not a comment"
      6-10 COPY "<<-'one' <<\"two\" /dest/\n1\n2"
      11-11 RUN "echo \"<<EOF\" $((1<<2)) <<<word"
      12-13 RUN "<<open\nto the end"
    "#);
}

#[test]
fn the_escape_directive_changes_continuations() {
    insta::assert_snapshot!(outline(
        "# escape=`\n\
         FROM a\n\
         RUN dir c:\\\n\
         RUN one `\n\
         two"
    ), @r#"
    "" "a" 2
      3-3 RUN "dir c:\\"
      4-5 RUN "one two"
    "#);
    insta::assert_snapshot!(outline(
        "# a comment\n# escape=`\nFROM a\nRUN one `\nRUN two\\\\\nRUN three \\ \n  four"
    ), @r#"
    "" "a" 3
      4-4 RUN "one `"
      5-5 RUN "two\\\\"
      6-7 RUN "three   four"
    "#);
}

#[test]
fn byte_order_mark_carriage_returns_and_shebang_do_not_show() {
    let expected = "\"b\" \"a\" 2\n  3-4 RUN \"x y\"";
    assert_eq!(
        outline("\u{feff}# note\r\nFROM a AS b\r\nRUN x \\\r\ny\r\n"),
        expected
    );
    assert_eq!(outline("#!/usr/bin/x\nFROM a AS b\nRUN x \\\ny"), expected);
    assert_eq!(
        outline("#!x\r\nFROM a AS b\r\nRUN <<E\r\nx\r\nE\r\n"),
        "\"b\" \"a\" 2\n  3-5 RUN \"<<E\\nx\""
    );
}

#[test]
fn what_is_no_dockerfile_has_no_stages() {
    for text in ["", "\n\n", "# only\n# comments", "ARG A\nRUN x", "FROMM a"] {
        assert_eq!(stages(text), [], "{text}");
    }
    assert_eq!(outline("FROM"), "\"\" \"\" 1");
    assert_eq!(outline("FROM a x y"), "\"\" \"a\" 1");
}

#[test]
fn stages_are_found_by_name_then_by_number() {
    let found = stages("FROM a AS one\nFROM b\nFROM c AS ONE\nFROM d AS 1");
    for (wanted, expected) in [
        ("one", Some(2)),
        ("0", Some(0)),
        ("1", Some(3)),
        ("2", Some(2)),
        ("4", None),
        ("x", None),
        ("", None),
    ] {
        assert_eq!(find_stage(&found, wanted), expected, "{wanted}");
    }
}

#[test]
fn the_frontend_is_found_in_all_its_forms() {
    let cases = [
        (
            "# syntax=docker/dockerfile:1\nFROM a",
            Some("docker/dockerfile:1"),
        ),
        (
            "\u{feff}#!/x\n#SYNTAX = docker/dockerfile:1 --flag \r\n",
            Some("docker/dockerfile:1"),
        ),
        ("# escape=`\n# syntax=a", Some("a")),
        ("// syntax=a\nx", Some("a")),
        (r#"{"syntax": "a"}"#, Some("a")),
        ("# comment\n# syntax=a", None),
        ("\n# syntax=a", None),
        ("# other=x\n# syntax=a", None),
        (" # syntax=a", None),
        ("FROM a\n# syntax=a", None),
        ("# syntax=", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(syntax(text).as_deref(), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn lines_are_in_order_and_in_the_text(lines in prop::collection::vec(
        prop_oneof![
            Just("FROM a AS b".to_owned()),
            "(RUN|COPY|ADD) [x\\\\`\"' ]{0,6}(<<-?[\"']?E[\"']?)?[ \\\\`]{0,2}",
            "[ \t]{0,2}E\r?",
            "# ?(escape|syntax)=[`\\\\]",
            any::<String>(),
        ],
        0..20,
    )) {
        let text = lines.join("\n");
        let count = u32::try_from(text.split('\n').count()).expect("a short text");
        let _ = syntax(&text);
        let mut before = 0;
        for stage in stages(&text) {
            prop_assert!(stage.line > before);
            before = stage.line;
            for instruction in stage.instructions {
                prop_assert!(instruction.line > before && instruction.end_line >= instruction.line);
                prop_assert!(instruction.end_line <= count);
                before = instruction.end_line;
            }
        }
    }
}
