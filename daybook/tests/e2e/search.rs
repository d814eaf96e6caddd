//! The platform while its search cluster is away.

use tempfile::TempDir;

use crate::support::{Server, get, list_product, status, then_it_becomes, until};

#[test]
fn without_its_search_cluster_a_server_does_everything_else() {
    let folder = TempDir::new().unwrap();
    let nobody = "http://127.0.0.1:1";
    let args = ["serve", "--demo", "--search", nobody, "--shutdown-seconds", "1"];

    let server = Server::start(folder.path(), &args);

    let degraded = get(&format!("{}/health/ready", server.url));
    assert_eq!((&degraded["ready"], &degraded["status"]), (&true.into(), &"degraded".into()));
    let failing = degraded["checks"].as_array().unwrap().iter().find(|check| check["ok"] == false);
    assert_eq!(failing.unwrap()["name"], "projection catalog");
    assert_eq!(list_product(&server.url, "ZEPPELIN"), "201");
    then_it_becomes(&format!("{}/v1/products/ZEPPELIN", server.url), "200");
    assert_eq!(status(&format!("{}/v1/catalog/search?q=pen", server.url)), "503");
    assert!(server.stop());

    // Where the index is in the folder, it catches up.
    let server = Server::start(folder.path(), &["serve"]);
    let found = format!("{}/v1/catalog/search?q=zeppelin", server.url);
    until(&found, |found| found["total"] == 1);
    until(&format!("{}/health/ready", server.url), |health| health["status"] == "ready");
    assert!(server.stop());
}
