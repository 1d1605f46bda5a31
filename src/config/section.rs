//! Walks a TOML document key by key and notes everything that is wrong, instead of stopping at the first.
//!
//! The only file that reads with the `toml` crate. A reader asks for each key that it knows; what nobody asked for is
//! an unknown key. A value that is wrong is reported and read as absent, so that reading goes on.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::closest::closest;
use super::origin::{Loaded, Origin};
use super::problem::{ConfigErrors, Problem, Source, check_length};
use super::quote::bare_or_quoted;

/// Reads a document with `read`; every problem that it meets is in the error.
pub(super) fn read<T>(
    file: &str,
    text: &str,
    read: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> Result<Loaded<T>, ConfigErrors> {
    check_length(file, text.len())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source { file, text };
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(ConfigErrors::Invalid(syntax(source, &errors)));
    }
    let mut report = Report {
        source,
        problems: Vec::new(),
        origins: BTreeMap::new(),
    };
    let mut root = Section {
        report: &mut report,
        table: Some(document.get_ref()),
        path: String::new(),
        at: 0..0,
        known: vec![],
    };
    let value = read(&mut root);
    root.finish();
    let Report {
        mut problems,
        origins,
        ..
    } = report;
    if problems.is_empty() {
        return Ok(Loaded::new(value, file, origins));
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Err(ConfigErrors::Invalid(problems))
}

/// One problem per line: what follows a syntax error on its line is mostly its echo.
fn syntax(source: Source<'_>, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| source.problem(&error.span().unwrap_or(0..0), "", error.message(), None))
        .collect();
    problems.sort_by_key(|problem| problem.line);
    problems.dedup_by_key(|problem| problem.line);
    problems
}

struct Report<'d> {
    source: Source<'d>,
    problems: Vec<Problem>,
    origins: BTreeMap<String, Origin>,
}

/// One table of the document; an absent table is read like an empty one.
pub(super) struct Section<'r, 'd> {
    report: &'r mut Report<'d>,
    table: Option<&'d DeTable<'d>>,
    /// Dotted path; empty for the document itself.
    path: String,
    /// Where the table is, for problems with what it lacks.
    at: Range<usize>,
    known: Vec<String>,
}

impl<'d> Section<'_, 'd> {
    /// A string that `parse` understands; its error completes "`key`: …".
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.get(key)?;
        let path = self.key_path(key);
        self.element(value, &path, example, &parse)
    }

    /// An array of strings that `parse` understands, none of them twice.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        key: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let value = self.get(key)?;
        let path = self.key_path(key);
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(&path, value, &format!("an array such as [\"{example}\"]"));
            return None;
        };
        let mut list = Vec::new();
        for item in array {
            let Some(parsed) = self.element(item, &path, example, &parse) else {
                continue;
            };
            if list.contains(&parsed) {
                let twice = item.get_ref().as_str().unwrap_or_default();
                self.report(
                    &item.span(),
                    &path,
                    &format!("\"{twice}\" is there twice"),
                    None,
                );
            } else {
                list.push(parsed);
            }
        }
        Some(list)
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        if let DeValue::Boolean(boolean) = value.get_ref() {
            return Some(*boolean);
        }
        self.wrong_type(&self.key_path(key), value, "true or false");
        None
    }

    /// A whole number in a range.
    pub(super) fn integer(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = self.get(key)?;
        let path = self.key_path(key);
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(
                &path,
                value,
                &format!("a whole number such as {}", range.start().max(&1)),
            );
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|n| range.contains(n));
        if number.is_none() {
            let message = format!("{integer} is not from {} to {}", range.start(), range.end());
            self.report(&value.span(), &path, &message, None);
        }
        number
    }

    /// A number above zero, whole or not.
    pub(super) fn positive(&mut self, key: &str) -> Option<f64> {
        let value = self.get(key)?;
        let path = self.key_path(key);
        let number: Option<f64> = match value.get_ref() {
            DeValue::Integer(integer) => i32::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(f64::from),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => {
                self.wrong_type(&path, value, "a number such as 2 or 1.5");
                return None;
            }
        };
        let number = number.filter(|number| number.is_finite() && *number > 0.0);
        if number.is_none() {
            self.report(&value.span(), &path, "not a number above zero", None);
        }
        number
    }

    /// A table of strings by name; `check` judges a name.
    pub(super) fn strings(
        &mut self,
        key: &str,
        example: &str,
        check: impl Fn(&str) -> Result<String, String>,
    ) -> BTreeMap<String, String> {
        self.table(key, |section| {
            let mut strings = BTreeMap::new();
            for name in section.names() {
                if let Some(value) = section.parsed(name, example, |value| Ok(value.to_owned())) {
                    match check(name) {
                        Ok(name) => drop(strings.insert(name, value)),
                        Err(message) => section.problem(name, &message, None),
                    }
                }
            }
            strings
        })
    }

    /// A table of its own, read whether it is there or not.
    pub(super) fn table<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Section<'_, 'd>) -> T,
    ) -> T {
        let value = self.get(key);
        let path = self.key_path(key);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.wrong_type(&path, value, "a table");
        }
        let at = self.key_span(key).unwrap_or_else(|| self.at.clone());
        let mut section = Section {
            report: self.report,
            table,
            path,
            at,
            known: vec![],
        };
        let result = read(&mut section);
        section.finish();
        result
    }

    /// An array of tables; what cannot be read is left out.
    pub(super) fn tables<T>(
        &mut self,
        key: &str,
        example: &str,
        mut read: impl FnMut(&mut Section<'_, 'd>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.get(key) else {
            return vec![];
        };
        let path = self.key_path(key);
        let expected = format!("an array such as [{example}]");
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(&path, value, &expected);
            return vec![];
        };
        let mut results = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let DeValue::Table(table) = item.get_ref() else {
                self.wrong_type(&path, item, &format!("a table such as {example}"));
                continue;
            };
            let path = format!("{path}[{index}]");
            let mut section = Section {
                report: self.report,
                table: Some(table),
                path,
                at: item.span(),
                known: vec![],
            };
            results.extend(read(&mut section));
            section.finish();
        }
        results
    }

    /// The keys that are there, in the file's order.
    pub(super) fn names(&self) -> Vec<&'d str> {
        let mut keys: Vec<_> = self
            .table
            .into_iter()
            .flat_map(|table| table.keys())
            .collect();
        keys.sort_by_key(|key| key.span().start);
        keys.into_iter().map(|key| key.get_ref().as_ref()).collect()
    }

    /// Whether the table itself is there.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Whether a key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Reports a problem with a key's value, or with the table where it lacks the key.
    pub(super) fn problem(&mut self, key: &str, message: &str, help: Option<&str>) {
        let at = match self.entry(key) {
            // A table's own span is its header or all of its text: its name is the better place.
            Some((name, value)) if value.get_ref().is_table() => name.span(),
            Some((_, value)) => value.span(),
            None => self.at.clone(),
        };
        let path = self.key_path(key);
        self.report(&at, &path, message, help);
    }

    /// Leaves what was not asked for alone, because nothing is known about it.
    pub(super) fn skip_rest(&mut self) {
        self.known
            .extend(self.names().into_iter().map(str::to_owned));
    }

    fn finish(self) {
        for name in self.names() {
            if self.known.iter().any(|known| known == name) {
                continue;
            }
            let place = if self.path.is_empty() {
                String::new()
            } else {
                format!(" in [{}]", self.path)
            };
            let help = match closest(name, &self.known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let at = self.key_span(name).unwrap_or_default();
            let problem = self.report.source.problem(
                &at,
                &self.key_path(name),
                &format!("unknown key `{name}`{place}"),
                Some(&help),
            );
            self.report.problems.push(problem);
        }
    }

    fn entry(
        &self,
        key: &str,
    ) -> Option<(
        &'d Spanned<std::borrow::Cow<'d, str>>,
        &'d Spanned<DeValue<'d>>,
    )> {
        self.table?.iter().find(|(name, _)| name.get_ref() == key)
    }

    fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entry(key).map(|(name, _)| name.span())
    }

    fn get(&mut self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key.to_owned());
        let (name, value) = self.entry(key)?;
        let origin = Origin::File {
            file: self.report.source.file.to_owned(),
            line: self.report.source.line(name.span().start),
        };
        self.report.origins.insert(self.key_path(key), origin);
        Some(value)
    }

    fn element<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        example: &str,
        parse: &impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(string) = value.get_ref().as_str() else {
            self.wrong_type(path, value, &format!("a string such as \"{example}\""));
            return None;
        };
        match parse(string) {
            Ok(parsed) => Some(parsed),
            Err(message) => {
                self.report(
                    &value.span(),
                    path,
                    &message,
                    Some(&format!("such as \"{example}\"")),
                );
                None
            }
        }
    }

    fn wrong_type(&mut self, path: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = value.get_ref().type_str();
        let article = if found.starts_with(['a', 'i']) {
            "an"
        } else {
            "a"
        };
        self.report(
            &value.span(),
            path,
            &format!("expected {expected}, found {article} {found}"),
            None,
        );
    }

    fn report(&mut self, at: &Range<usize>, path: &str, message: &str, help: Option<&str>) {
        let problem = self
            .report
            .source
            .problem(at, path, &format!("`{path}`: {message}"), help);
        self.report.problems.push(problem);
    }

    fn key_path(&self, key: &str) -> String {
        let key = bare_or_quoted(key);
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }
}
