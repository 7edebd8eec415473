//! What a cluster is asked for, what it refuses, and that nothing is left of what failed.

use secrecy::SecretString;
use slatest_cluster::kubernetes::{JobSettings, KubernetesError, start};
use slatest_core::model::Nanos;
use slatest_core::target::KubernetesSection;

use super::cluster::{Answer, Cluster, Fate};

pub const TOKEN: &str = "slatest1.c2VjcmV0LW9mLXRoZS1ydW4.ZmluZ2VycHJpbnQ";

pub fn settings(agents: u32) -> JobSettings {
    JobSettings {
        namespace: Some("load".into()),
        agents,
        run: "slatest-0198c0ffee".into(),
        coordinator_address: "10.0.0.7:7420".into(),
        token: SecretString::from(TOKEN),
        ca_pem: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into(),
        length: Nanos::from_secs(60),
        image: Some("registry.example/slatest:1".into()),
        section: KubernetesSection::default(),
    }
}

/// (method, resource) of everything that was asked, in order.
fn asked(cluster: &Cluster) -> Vec<String> {
    cluster.state().asked.iter().map(|asked| format!("{} {}", asked.method, asked.resource)).collect()
}

#[tokio::test]
async fn a_job_and_its_secret_are_made_and_deleted_with_their_pods() {
    let cluster = Cluster::start(&[Fate::Runs]);
    let running = start(cluster.client(), &settings(3)).await.unwrap();
    assert_eq!((running.name(), running.namespace()), ("slatest-0198c0ffee", "load"));
    assert_eq!(cluster.left().len(), 5, "a Job, a Secret and three pods: {:?}", cluster.left());
    {
        let state = cluster.state();
        let job = state.get("jobs", running.name()).unwrap();
        let secret = state.get("secrets", running.name()).unwrap();
        assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"]);
        // In every request but the Secret's own, there is no token in any form.
        let encoded = secret["data"]["token"].as_str().unwrap();
        for request in state.asked.iter().filter(|asked| asked.resource != "secrets") {
            let text = format!("{request:?}");
            assert!(!text.contains(TOKEN) && !text.contains(encoded), "{text}");
        }
        for pod in state.all("pods") {
            assert!(!pod.to_string().contains(TOKEN) && !pod.to_string().contains(encoded), "{pod}");
        }
    }
    running.delete().await.unwrap();
    cluster.assert_clean();
    {
        let state = cluster.state();
        let deletion = state.asked.iter().find(|asked| asked.method == "DELETE" && asked.resource == "jobs").unwrap();
        assert_eq!(deletion.body["propagationPolicy"], "Foreground");
    }
    // Again is no mistake: Ctrl-C may come while it is deleted.
    running.delete().await.unwrap();
}

#[tokio::test]
async fn what_may_not_be_watched_is_not_made() {
    let cluster = Cluster::start(&[Fate::Runs]);
    let forbidden = "pods is forbidden: User \"tester\" cannot list resource \"pods\" in API group \"\"";
    cluster.script("GET", "pods", Answer::Refuse(403, forbidden));
    let error = start(cluster.client(), &settings(3)).await.err().unwrap();
    assert!(matches!(error, KubernetesError::Forbidden { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(forbidden) && message.contains("create and delete secrets"), "{message}");
    assert_eq!(asked(&cluster), ["GET pods"]);
}

#[tokio::test]
async fn a_job_without_its_secret_does_not_stay() {
    let cluster = Cluster::start(&[Fate::Runs]);
    cluster.script("POST", "secrets", Answer::Refuse(403, "secrets is forbidden: exceeded quota"));
    let error = start(cluster.client(), &settings(3)).await.err().unwrap();
    assert!(error.to_string().contains("exceeded quota"), "{error}");
    cluster.assert_clean();
}

#[tokio::test]
async fn a_job_that_is_refused_says_why() {
    let cluster = Cluster::start(&[Fate::Runs]);
    for (code, message) in
        [(403, "jobs.batch is forbidden"), (422, "Job is invalid"), (400, "admission webhook denied")]
    {
        cluster.script("POST", "jobs", Answer::Refuse(code, message));
        let error = start(cluster.client(), &settings(3)).await.err().unwrap().to_string();
        assert!(error.contains(message), "{error}");
    }
    let elsewhere = JobSettings { namespace: Some("nowhere".into()), ..settings(3) };
    let error = start(cluster.client(), &elsewhere).await.err().unwrap().to_string();
    assert!(error.contains("namespaces \"nowhere\" not found"), "{error}");
    cluster.assert_clean();
}

#[tokio::test]
async fn a_job_whose_answer_was_lost_is_found_again() {
    let cluster = Cluster::start(&[Fate::Runs]);
    cluster.script("POST", "jobs", Answer::DoneButLost);
    let running = start(cluster.client(), &settings(2)).await.unwrap();
    assert_eq!(cluster.state().all("jobs").len(), 1);
    running.delete().await.unwrap();
    cluster.assert_clean();
}

#[tokio::test]
async fn a_job_of_that_name_which_is_another_ones_is_left_alone() {
    let cluster = Cluster::start(&[Fate::Runs]);
    let theirs = start(cluster.client(), &settings(2)).await.unwrap();
    let error = start(cluster.client(), &settings(2)).await.err().unwrap();
    assert!(matches!(error, KubernetesError::Taken(_)), "{error}");
    assert_eq!(cluster.left().len(), 4, "{:?}", cluster.left());
    theirs.delete().await.unwrap();
    // Nor is one deleted that has taken the name since.
    let newer = start(cluster.client(), &settings(2)).await.unwrap();
    theirs.delete().await.unwrap();
    assert_eq!(cluster.left().len(), 4, "{:?}", cluster.left());
    newer.delete().await.unwrap();
    cluster.assert_clean();
}

#[tokio::test]
async fn a_deletion_that_fails_is_tried_again() {
    let cluster = Cluster::start(&[Fate::Runs]);
    let running = start(cluster.client(), &settings(2)).await.unwrap();
    cluster.script("DELETE", "jobs", Answer::Refuse(500, "etcdserver: leader changed"));
    cluster.script("DELETE", "jobs", Answer::Refuse(500, "etcdserver: leader changed"));
    cluster.script("DELETE", "secrets", Answer::Refuse(500, "etcdserver: request timed out"));
    running.delete().await.unwrap();
    cluster.assert_clean();
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_said_to_be_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    drop(listener);
    let client = kube::Client::try_from(config).unwrap();
    let error = start(client, &settings(2)).await.err().unwrap();
    assert!(matches!(error, KubernetesError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}
