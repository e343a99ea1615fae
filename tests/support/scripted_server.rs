//! A directory server that does what no server at hand does: members in portions, references to
//! other domains, answers that break the protocol.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use intake::model::duration::Seconds;
use lber::parse::parse_tag;
use lber::structure::{PL, StructureTag};

/// A search, as far as a script looks at it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Below which name.
    pub base: String,
    /// 0 for one object, 2 for the subtree.
    pub scope: u8,
    /// The attributes and values in the filter, in its order.
    pub filter: Vec<String>,
    /// The attributes that are asked for.
    pub attributes: Vec<String>,
    /// Where in a paged search it goes on; empty at its beginning.
    pub cookie: Vec<u8>,
}

/// What the server sends for a search.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An entry: its name, and its attributes.
    Entry(String, Vec<(String, Vec<Vec<u8>>)>),
    /// A reference to another server.
    Reference(String),
    /// The end: a result code, and a cookie for the next page.
    Done(u8, Vec<u8>),
    /// The end, without a word about pages.
    DoneUnpaged(u8),
    /// These octets as a message of the search: a tag and its content.
    Operation(u8, Vec<u8>),
    /// The connection is closed.
    Close,
    /// Nothing more is sent, and the connection stays open.
    Silence,
}

/// How long these answers are worth waiting for: not for long where nothing more comes.
pub fn patience(answers: &[Answer]) -> Seconds {
    let is_silent = answers.iter().any(|answer| matches!(answer, Answer::Silence));
    Seconds(if is_silent { 2 } else { 20 })
}

/// Makes an attribute of texts.
pub fn texts(name: &str, values: &[&str]) -> (String, Vec<Vec<u8>>) {
    (name.to_owned(), values.iter().map(|value| value.as_bytes().to_vec()).collect())
}

/// Starts a server that accepts every sign-in and answers each search by the script. It runs until
/// the test program ends. Returns its URL.
pub fn start(script: impl Fn(&Request) -> Vec<Answer> + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("ldap://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = script.clone();
            std::thread::spawn(move || serve(stream, &script));
        }
    });
    url
}

fn serve(mut stream: TcpStream, script: &impl Fn(&Request) -> Vec<Answer>) -> Option<()> {
    let mut buffer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        while let Ok((rest, message)) = parse_tag(&buffer) {
            let left = rest.len();
            let [id, operation, controls @ ..] = children(&message)? else { return None };
            let id = octets(id)?.to_vec();
            match operation.id {
                0 => send(&mut stream, &id, &tlv(0x61, &result(0)), None)?,
                3 => {
                    let request = request(operation, controls)?;
                    let answers = if request.base.is_empty() { root_dse() } else { script(&request) };
                    for answer in answers {
                        reply(&mut stream, &id, answer)?;
                    }
                }
                _ => return None,
            }
            buffer.drain(..buffer.len() - left);
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(length) => buffer.extend_from_slice(&chunk[..length]),
        }
    }
}

fn reply(stream: &mut TcpStream, id: &[u8], answer: Answer) -> Option<()> {
    match answer {
        Answer::Entry(dn, attributes) => {
            let mut list = Vec::new();
            for (name, values) in attributes {
                let values: Vec<u8> = values.iter().flat_map(|value| tlv(0x04, value)).collect();
                list.extend(tlv(0x30, &[tlv(0x04, name.as_bytes()), tlv(0x31, &values)].concat()));
            }
            send(stream, id, &tlv(0x64, &[tlv(0x04, dn.as_bytes()), tlv(0x30, &list)].concat()), None)
        }
        Answer::Reference(url) => send(stream, id, &tlv(0x73, &tlv(0x04, url.as_bytes())), None),
        Answer::Done(code, cookie) => {
            let value = tlv(0x30, &[tlv(0x02, &[0]), tlv(0x04, &cookie)].concat());
            let control = tlv(0x30, &[tlv(0x04, b"1.2.840.113556.1.4.319"), tlv(0x04, &value)].concat());
            send(stream, id, &tlv(0x65, &result(code)), Some(&tlv(0xA0, &control)))
        }
        Answer::DoneUnpaged(code) => send(stream, id, &tlv(0x65, &result(code)), None),
        Answer::Operation(tag, content) => send(stream, id, &tlv(tag, &content), None),
        Answer::Close => None,
        Answer::Silence => {
            std::thread::sleep(std::time::Duration::from_secs(60));
            None
        }
    }
}

fn root_dse() -> Vec<Answer> {
    let attributes = vec![
        texts("defaultNamingContext", &["DC=contoso,DC=test"]),
        texts("supportedControl", &["1.2.840.113556.1.4.319"]),
    ];
    vec![Answer::Entry(String::new(), attributes), Answer::DoneUnpaged(0)]
}

fn request(operation: &StructureTag, controls: &[StructureTag]) -> Option<Request> {
    let [base, scope, .., filter, attributes] = children(operation)? else { return None };
    let text = |tag: &StructureTag| octets(tag).map(|octets| String::from_utf8_lossy(octets).into_owned());
    let mut cookie = Vec::new();
    for control in controls.iter().filter_map(children).flatten() {
        let parts = children(control)?;
        if octets(parts.first()?)? == b"1.2.840.113556.1.4.319" {
            let (_, value) = parse_tag(octets(parts.last()?)?).ok()?;
            cookie = octets(children(&value)?.get(1)?)?.to_vec();
        }
    }
    Some(Request {
        base: text(base)?,
        scope: *octets(scope)?.first()?,
        filter: leaves(filter),
        attributes: children(attributes)?.iter().filter_map(text).collect(),
        cookie,
    })
}

fn leaves(tag: &StructureTag) -> Vec<String> {
    match &tag.payload {
        PL::P(octets) => vec![String::from_utf8_lossy(octets).into_owned()],
        PL::C(parts) => parts.iter().flat_map(leaves).collect(),
    }
}

fn send(stream: &mut TcpStream, id: &[u8], operation: &[u8], controls: Option<&[u8]>) -> Option<()> {
    let message = tlv(0x30, &[&tlv(0x02, id), operation, controls.unwrap_or_default()].concat());
    stream.write_all(&message).ok()
}

fn result(code: u8) -> Vec<u8> {
    [tlv(0x0A, &[code]), tlv(0x04, b""), tlv(0x04, b"as the script says")].concat()
}

/// Encodes a tag, a length and a content (X.690).
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a short message").to_be_bytes();
    let mut encoded = vec![tag, 0x84];
    encoded.extend_from_slice(&length);
    encoded.extend_from_slice(content);
    encoded
}

fn children(tag: &StructureTag) -> Option<&[StructureTag]> {
    match &tag.payload {
        PL::C(children) => Some(children),
        PL::P(_) => None,
    }
}

fn octets(tag: &StructureTag) -> Option<&[u8]> {
    match &tag.payload {
        PL::P(octets) => Some(octets),
        PL::C(_) => None,
    }
}
