//! The dashboard: a real controller, asked by a real browser, and by whoever speaks HTTP without one.

use std::fs;

use serde_json::json;

use crate::support::asking::{Answer, Served, ask};
use crate::support::contoso;
use crate::support::intake::{Installation, dn};
use crate::support::ldif_text::{LdifText, guid};
use crate::web::{started, without_tokens};

mod access;
mod browsing;
mod hostile;
mod looks;
mod orders;
mod plain;
mod provider;

const VIEWER: &str = "a-token-that-only-looks";
const OPERATOR: &str = "a-token-that-may-do-things";

/// Makes an installation whose controller listens, for these two tokens; `more` are lines of the operator's file.
fn with_tokens(more: &str) -> Installation {
    let mut here = Installation::new();
    for (name, token) in [("viewer", VIEWER), ("operator", OPERATOR)] {
        fs::write(token_file(&here, name), token).expect("written");
    }
    let tokens = ["viewer", "operator"].map(|role| {
        let file = token_file(&here, role).display().to_string();
        format!("    - {{name: {}, role: {role}, tokenFrom: {{file: {file}}}}}\n", name_of(role))
    });
    here.operator(&format!("listen: 127.0.0.1:0\nauth:\n  tokens:\n{}{more}", tokens.concat()));
    here.environment("DOCUMENTATION_KEY", crate::documentation::fake::KEY);
    here
}

fn token_file(here: &Installation, name: &str) -> std::path::PathBuf {
    here.folder().join(format!("{name}.token"))
}

/// Who has the token of a role.
fn name_of(role: &str) -> &'static str {
    if role == "operator" { "jane" } else { "john" }
}

/// Writes a customer whose people have these display names, in the order of their numbers, from 1.
fn customer_of_names(here: &Installation, name: &str, names: &[&str]) {
    here.customer_of_files(name, &[]);
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    contoso::unit(&mut ldif, "OU=Staff,DC=contoso,DC=test", "Staff", 11);
    let mut users = Vec::new();
    let mut members = Vec::new();
    for (number, display_name) in (1_u32..).zip(names) {
        let login = format!("person{number}");
        let address = format!("{login}@contoso.test");
        members.push(dn(number));
        ldif.entry(
            &dn(number),
            &[
                ("objectClass", "user"),
                ("cn", &format!("Person {number}")),
                ("sAMAccountName", &login),
                ("userPrincipalName", &address),
                ("displayName", display_name),
                ("mail", &address),
                ("userAccountControl", "512"),
                ("primaryGroupID", "513"),
            ],
            &[
                ("objectGUID", &guid(u64::from(number) + 1_000)),
                ("objectSid", &crate::support::ldif_text::sid(Some(number + 1_000))),
            ],
        );
        let mut user = crate::support::graph::person(number, "contoso.test");
        user["displayName"] = json!(display_name);
        users.push(user);
    }
    let mut texts = vec![("objectClass", "group"), ("cn", "Intake Users"), ("groupType", "-2147483646")];
    texts.extend(members.iter().map(|member| ("member", member.as_str())));
    ldif.entry("CN=Intake Users,OU=Staff,DC=contoso,DC=test", &texts, &[("objectGUID", &guid(900))]);
    here.write(&format!("{name}.ldif"), &format!("# intake: begin\nversion: 1\n\n{}# intake: end\n", ldif.0));
    here.write(&format!("{name}.json"), &json!({"value": users}).to_string());
}

/// Somebody who looks at pages without a browser: they say what one would.
struct Reader<'a> {
    served: &'a Served,
    cookie: Option<String>,
}

impl<'a> Reader<'a> {
    /// Looks where nobody signs in.
    fn of(served: &'a Served) -> Self {
        Self { served, cookie: None }
    }

    /// Signs in.
    fn signed_in(served: &'a Served, token: &str) -> Self {
        let mut reader = Self::of(served);
        let answer = reader.post("/login", &[("token", token)]);
        assert_eq!((answer.status, answer.headers["location"].as_str()), (303, "/"), "{answer:?}");
        let cookie = answer.headers["set-cookie"].clone();
        for rule in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
            assert!(cookie.contains(rule), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "this machine alone listens: {cookie}");
        reader.cookie = cookie.split(';').next().map(str::to_owned);
        reader
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = vec![("Accept", "text/html"), ("Sec-Fetch-Site", "same-origin")];
        headers.extend(self.cookie.iter().map(|cookie| ("Cookie", cookie.as_str())));
        headers
    }

    fn get(&self, path: &str) -> Answer {
        ask(self.served.address, "GET", path, &self.headers(), b"")
    }

    /// Expects a page.
    fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Sends a form, with these headers besides or in place of those that a browser says.
    fn post_with(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let form: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut all: Vec<(&str, &str)> =
            self.headers().into_iter().filter(|(name, _)| !given(name)).collect();
        all.push(("Content-Type", "application/x-www-form-urlencoded"));
        all.extend(headers.iter().filter(|(_, value)| !value.is_empty()));
        ask(self.served.address, "POST", path, &all, form.as_bytes())
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, fields, &[])
    }

    /// Presses a button of a page: sends what its form carries.
    fn press(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let token = form_token(&self.page(page));
        self.post(action, &[&[("session", token.as_str())][..], fields].concat())
    }
}

/// Returns what every form of a page carries.
fn form_token(page: &str) -> String {
    let rest = page.split("name=\"session\" value=\"").nth(1).expect("a form");
    rest.split('"').next().expect("a value").to_owned()
}
