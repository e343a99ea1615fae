//! Names that somebody typed to harm whoever looks.

use super::{Reader, customer_of_names, started, without_tokens};
use crate::support::browser::Browser;
use crate::support::intake::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_are_shown_and_do_nothing() {
    let long = "Very long name ".repeat(700);
    let names = [
        "<script>document.title='taken'</script>",
        "\"><img src=x onerror=\"document.title='taken'\">",
        "Jane \u{202e}eoD\u{202c}\u{200b}",
        "'); alert(1); //",
        "{{ 7 * 7 }} ${7*7}",
        &long,
    ];
    let here = without_tokens();
    customer_of_names(&here, "hostile", &names);
    let served = tokio::task::block_in_place(|| started(&here, &[("contoso", &[1])]));
    tokio::task::block_in_place(|| until("all are imported", || here.accounts().len() == 7));
    let reader = Reader::of(&served);
    let page = reader.page("/customers/hostile/accounts");
    assert!(page.contains("&#60;script&#62;document.title=&#39;taken&#39;&#60;/script&#62;"), "{page}");
    assert!(!page.contains("<script>document") && !page.contains("<img") && !page.contains('\u{202e}'));
    assert!(page.contains("Jane \\u{202e}eoD") && page.contains("{{ 7 * 7 }}"), "{page}");

    let browser = Browser::open().await;
    for width in [1440, 360] {
        browser.look_like(width, false).await;
        browser.goto(&format!("{}/customers/hostile/accounts", served.url())).await;
        assert_eq!(browser.title().await, "Accounts of hostile · Intake");
        assert_eq!(browser.sideways().await, Vec::<String>::new());
        browser.picture(&format!("hostile-accounts-light-{width}")).await;
        let high = browser
            .evaluate(
                "Math.max(...[...document.querySelectorAll('tbody tr')].map((row) => row.offsetHeight))",
            )
            .await;
        assert!(high.as_f64().expect("a number") < 300.0, "a row is {high} high");
        let accounts = browser
            .evaluate("[...document.querySelectorAll('tbody th a')].map((link) => link.getAttribute('href'))")
            .await;
        for address in accounts.as_array().expect("a list") {
            browser.goto(&format!("{}{}", served.url(), address.as_str().expect("an address"))).await;
            assert_eq!(browser.sideways().await, Vec::<String>::new());
            assert!(browser.title().await.ends_with("· Intake"));
            // The last one is the long one.
            browser.picture(&format!("hostile-account-light-{width}")).await;
            assert_eq!(browser.barriers().await, Vec::<String>::new());
            let high = browser.evaluate("document.documentElement.scrollHeight").await;
            assert!(high.as_f64().expect("a number") < 6_000.0, "{address}: {high} high");
            assert_eq!(
                browser.evaluate("document.querySelectorAll('main script, main img').length").await,
                0
            );
        }
    }
    drop(browser);
    served.end();
}
