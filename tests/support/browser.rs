//! A real browser without a screen: Chromium, driven by its own driver on a free port of loopback.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard};
use url::{ParseError, Url};

use crate::support::intake::PATIENCE;
use crate::support::others::Others;
use crate::support::process::{Process, free_port, listens, wait_for};

/// The driver. It ends with the test program, with every browser that it started.
struct Driver {
    port: u16,
    turn: Arc<Mutex<()>>,
    _process: Process,
    _folder: TempDir,
}

impl Driver {
    fn get() -> &'static Self {
        static DRIVER: OnceLock<Driver> = OnceLock::new();
        DRIVER.get_or_init(|| {
            let folder = tempfile::Builder::new().prefix("intake-browser-").tempdir().expect("a folder");
            let port = free_port();
            let temporary = format!("TMPDIR={}", folder.path().display());
            let listen = format!("--port={port}");
            // In a session of its own, so that browsers end with it.
            let arguments = [temporary.as_str(), "setsid", "chromedriver", listen.as_str()];
            let process = Process::start("env", &arguments, folder.path());
            wait_for(&process, folder.path(), PATIENCE, || listens(Ipv4Addr::LOCALHOST, port));
            Self { port, turn: Arc::default(), _process: process, _folder: folder }
        })
    }
}

/// A browser with nothing in it: no cookie, no history. One at a time; it ends when dropped.
pub struct Browser {
    client: Client,
    session: String,
    port: u16,
    _turn: OwnedMutexGuard<()>,
}

/// A command of Chromium's own protocol.
#[derive(Debug)]
struct Devtools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"cmd": self.command, "params": self.parameters}).to_string()))
    }
}

/// What the browser complained of since the last time that somebody asked.
#[derive(Debug)]
struct Complaints;

impl WebDriverCompatibleCommand for Complaints {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"type": "browser"}).to_string()))
    }
}

impl Browser {
    /// Starts one.
    pub async fn open() -> Self {
        let driver = Driver::get();
        let turn = driver.turn.clone().lock_owned().await;
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                "args": [
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                    "--hide-scrollbars",
                    "--window-size=1440,900",
                    "--lang=en-GB",
                ],
            },
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}/", driver.port))
            .await
            .expect("a browser (are chromium and chromium-driver installed?)");
        let session = client.session_id().await.expect("an answer").expect("a session");
        let browser = Self { client, session, port: driver.port, _turn: turn };
        browser.look_like(1440, false).await;
        browser
    }

    /// Sends a command of Chromium's own protocol.
    pub async fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(Devtools { command, parameters }).await.expect(command)
    }

    /// Makes the window so wide, and the theme light or dark.
    pub async fn look_like(&self, width: u32, is_dark: bool) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let theme = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Opens a page, and expects that nothing in it broke a rule of its own.
    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.expect(url);
        self.expect_no_complaint().await;
    }

    /// Expects that no page broke the rules that came with it.
    pub async fn expect_no_complaint(&self) {
        let complaints = self.client.issue_cmd(Complaints).await.expect("a log");
        let broken: Vec<&Value> = complaints
            .as_array()
            .expect("a list")
            .iter()
            .filter(|complaint| {
                let message = complaint["message"].as_str().unwrap_or_default();
                message.contains("Content Security Policy") || message.contains("Uncaught")
            })
            .collect();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// Returns the address of the page.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.expect("an address");
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Returns the page's title.
    pub async fn title(&self) -> String {
        self.client.title().await.expect("a title")
    }

    /// Returns what is read in the first element that fits.
    pub async fn text(&self, css: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(text) = self.texts(css).await.into_iter().next() {
                return text;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {css}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Returns what is read in all elements that fit.
    pub async fn texts(&self, css: &str) -> Vec<String> {
        // All at once: parts of a page are replaced meanwhile. As WebDriver reads them, whose own question is about
        // one element: what can be seen, in lines, with simple spaces.
        let read = format!(
            "[...document.querySelectorAll({})].map((one) => (one.checkVisibility() ? one.innerText : '')\
             .replace(/[\\t\\u00a0]/g, ' ').replace(/ *\\n\\s*/g, '\\n').trim())",
            json!(css)
        );
        let texts = self.evaluate(&read).await;
        let texts = texts.as_array().unwrap_or_else(|| panic!("{css}: {texts}"));
        texts.iter().map(|text| text.as_str().expect("text").to_owned()).collect()
    }

    /// Whether an element is there.
    pub async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.expect(css).is_empty()
    }

    async fn find(&self, css: &str) -> Element {
        self.client
            .wait()
            .at_most(PATIENCE)
            .every(Duration::from_millis(25))
            .for_element(Locator::Css(css))
            .await
            .unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// Presses an element.
    pub async fn click(&self, css: &str) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.find(css).await.click().await {
            expect_replaced(css, &error, deadline);
        }
    }

    /// Types into a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let field = self.find(css).await;
            let cleared = field.clear().await;
            let typed = match cleared {
                Ok(()) => field.send_keys(text).await,
                Err(error) => Err(error),
            };
            match typed {
                Ok(()) => return,
                Err(error) => expect_replaced(css, &error, deadline),
            }
        }
    }

    /// Presses a key, wherever the focus is.
    pub async fn press(&self, key: &'static str) {
        for kind in ["keyDown", "keyUp"] {
            let key = match key {
                "Tab" => json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": 9}),
                "Enter" => {
                    json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": 13, "text": "\r"})
                }
                other => panic!("the key {other} is not known"),
            };
            self.devtools("Input.dispatchKeyEvent", key).await;
        }
    }

    /// Returns what an expression is worth in the page. No rule of the page keeps it from that.
    pub async fn evaluate(&self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.devtools("Runtime.evaluate", parameters).await;
        assert!(answer.get("exceptionDetails").is_none(), "{answer:#}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate(expression).await != true {
            let page = self.evaluate("document.body.innerText").await;
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {expression}\n{page}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Expects a page of a bounded size, however much there is to show: what no clock can tell.
    pub async fn expect_short(&self, what: &str) {
        let elements = self.evaluate("document.getElementsByTagName('*').length").await;
        let elements = elements.as_u64().expect("a number");
        assert!(elements < 5_000, "{what} has {elements} elements");
    }

    /// Returns what of the page keeps somebody out, as far as axe-core can tell.
    pub async fn barriers(&self) -> Vec<String> {
        if self.evaluate("typeof axe").await == "undefined" {
            // What a script is worth may be a large object, which nobody needs.
            self.evaluate(&format!("{};0", Others::get().axe())).await;
        }
        let run = "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations.map((one) => \
                   ({id: one.id, help: one.help, nodes: one.nodes.map((node) => node.html + ' ' + \
                   node.failureSummary)})))";
        let found = self.evaluate(run).await;
        let path = self.path().await;
        found.as_array().expect("a list").iter().map(|barrier| format!("{path}: {barrier:#}")).collect()
    }

    /// Returns what sticks out to the side, if the page can be moved there.
    pub async fn sideways(&self) -> Vec<String> {
        let is_wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        if self.evaluate(is_wide).await != true {
            return Vec::new();
        }
        let wide = "[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > \
                    document.documentElement.clientWidth + 1 && !one.closest('.scroll, pre, .hidden, .sprite')) \
                    .slice(0, 5).map((one) => one.outerHTML.slice(0, 200))";
        let (path, width) = (self.path().await, self.evaluate("innerWidth").await);
        vec![format!("{path} at {width}: {:#}", self.evaluate(wide).await)]
    }

    /// Takes a picture of the whole page, for people to look at after the build.
    pub async fn picture(&self, name: &str) {
        let size = self
            .evaluate("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
            .await;
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let taken = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.devtools("Page.captureScreenshot", taken).await;
        let bytes = STANDARD.decode(picture["data"].as_str().expect("a picture")).expect("base64");
        let folder = pictures();
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Also where a test failed: nothing of the client works then any more.
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            self.session, self.port
        );
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read(&mut [0; 512]);
    }
}

/// Expects of an element that something could not be done to it only because there is another one in its place.
fn expect_replaced(css: &str, error: &CmdError, deadline: Instant) {
    assert!(error.is_stale_element_reference() && Instant::now() < deadline, "{css}: {error}");
}

/// Where pictures are.
fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder").join("screenshots")
}
