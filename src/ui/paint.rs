//! Colors, where they are wanted. Nothing is said by color alone.

use console::Style;

/// Paints, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint {
    pub(super) color: bool,
}

impl Paint {
    pub(super) fn bold(self, text: &str) -> String {
        self.apply(&Style::new().bold(), text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.apply(&Style::new().dim(), text)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.apply(&Style::new().green(), text)
    }

    pub(super) fn doubtful(self, text: &str) -> String {
        self.apply(&Style::new().yellow(), text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.apply(&Style::new().red(), text)
    }

    fn apply(self, style: &Style, text: &str) -> String {
        style
            .clone()
            .force_styling(self.color)
            .apply_to(text)
            .to_string()
    }
}
