use crate::support::{hex, read};

#[track_caller]
fn id_of(event_type: &str, payload: &str) -> (String, bool) {
    let content = read(format!("{{\"EventType\":\"{event_type}\",\"SomeEvent\":{payload}}}"));
    let digest = hex(content.identity.digest);
    let id = content.identity.id.replace(&format!(":{digest}"), ":#");
    (id, content.identity.by_content)
}

#[test]
fn the_rule_of_the_type_makes_the_id() {
    for (event_type, payload, id, by_content) in [
        ("PullComplete", r#"{"TaskId":"t"}"#, "PullComplete:t", false),
        ("PullComplete", r#"{"TaskId":"t","Status":""}"#, "PullComplete:t", false),
        ("PullComplete", r#"{"TaskId":"t","Status":"FINISH"}"#, "PullComplete:t", false),
        ("PullComplete", r#"{"TaskId":"t","Status":"SUCCESS"}"#, "PullComplete:t", false),
        ("PullComplete", r#"{"TaskId":"t","Status":"FAIL"}"#, "PullComplete:t", false),
        ("PullComplete", r#"{"TaskId":"t","Status":"WAITING"}"#, "PullComplete:t:WAITING:#", false),
        ("PullComplete", r#"{"TaskId":"t","Status":0}"#, "PullComplete:t:0:#", false),
        ("PullComplete", r#"{"TaskId":"","Status":"FINISH"}"#, "PullComplete:#", true),
        ("PullComplete", r#"{"TaskId":null,"Status":"PROCESSING"}"#, "PullComplete:#", true),
        ("PullComplete", r#"{"TaskId":{}}"#, "PullComplete:#", true),
        ("PullComplete", "{}", "PullComplete:#", true),
        (
            "ProcedureStateChanged",
            r#"{"TaskId":"t","Status":"FINISH"}"#,
            "ProcedureStateChanged:t:FINISH:#",
            false,
        ),
        ("ProcedureStateChanged", r#"{"TaskId":"t"}"#, "ProcedureStateChanged:#", true),
        ("New", r#"{"TaskId":"t","Status":"FINISH"}"#, "New:t:FINISH:#", false),
        ("New", r#"{"FileId":"f"}"#, "New:#", true),
        (
            "NewFileUpload",
            r#"{"FileId":18446744073709551616}"#,
            "NewFileUpload:18446744073709551616",
            false,
        ),
        ("NewFileUpload", r#"{"FileId":""}"#, "NewFileUpload:#", true),
        (
            "PersistenceComplete",
            r#"{"FileId":"f","PersistenceSource":"s"}"#,
            "PersistenceComplete:f:s",
            false,
        ),
        ("PersistenceComplete", r#"{"FileId":"f"}"#, "PersistenceComplete:#", true),
        ("FileDeleted", r#"{"TaskId":"t"}"#, "FileDeleted:#", true),
        ("SceneAigcImageComplete", r#"{"TaskId":"t"}"#, "SceneAigcImageCompleteEvent:t", false),
        ("a b:c/é", r#"{"TaskId":"x:y%\u0000"}"#, "a%20b%3Ac%2F%C3%A9:#", true),
        ("PullComplete", r#"{"TaskId":"x:y%é~_-."}"#, "PullComplete:x%3Ay%25%C3%A9%7E_-.", false),
    ] {
        assert_eq!(id_of(event_type, payload), (id.to_owned(), by_content), "{payload}");
    }
}

#[test]
fn a_long_id_keeps_its_type_and_stays_below_its_limit() {
    let task = "t".repeat(187);
    let longest = format!("PullComplete:{task}");
    assert_eq!(id_of("PullComplete", &format!("{{\"TaskId\":\"{task}\"}}")).0, longest);
    let (longer, _) = id_of("PullComplete", &format!("{{\"TaskId\":\"{task}t\"}}"));
    let (other, _) = id_of("PullComplete", &format!("{{\"TaskId\":\"{task}u\"}}"));
    assert_eq!(longer.len(), "PullComplete:".len() + 32);
    assert!(longer.starts_with("PullComplete:") && longer != other);
    for n in 40..80 {
        let (id, _) = id_of(&format!("{}x", "é".repeat(n)), r#"{"TaskId":"t","Status":"s"}"#);
        assert!(id.len() <= 200, "{id}");
        let escapes = id.split('%').skip(1);
        assert!(escapes.clone().all(|part| part.len() >= 2 && !part[..2].contains(':')), "{id}");
    }
}

#[test]
fn deprecated_results_of_a_procedure_do_not_count() {
    let with = r#"{"TaskId":"t","Status":"FINISH","ErrCode":0,"Message":"SUCCESS"}"#;
    let without = r#"{"TaskId":"t","Status":"FINISH"}"#;
    let digest = |event_type: &str, payload: &str| {
        read(format!("{{\"EventType\":\"{event_type}\",\"E\":{payload}}}")).identity.digest
    };
    let procedure = "ProcedureStateChanged";
    assert_eq!(digest(procedure, with), digest(procedure, without));
    assert_ne!(digest("PullComplete", with), digest("PullComplete", without));
    let inner = r#"{"TaskId":"t","Status":"FINISH","A":{"ErrCode":0}}"#;
    let other = r#"{"TaskId":"t","Status":"FINISH","A":{"ErrCode":1}}"#;
    assert_ne!(digest(procedure, inner), digest(procedure, other));
}

#[test]
fn the_payload_is_the_types_own_member_else_the_only_object() {
    for (message, event_type, payload) in [
        (
            r#"{"EventType":"NewFileUpload","X":{"a":1},"FileUploadEvent":{"b":1}}"#,
            "NewFileUpload",
            r#"{"b":1}"#,
        ),
        (
            r#"{"EventType":"NewFileUpload","FileUploadEvent":{},"X":{"a":1}}"#,
            "NewFileUpload",
            r#"{"a":1}"#,
        ),
        (r#"{"EventType":"NewFileUpload","FileUploadEvent":{ }}"#, "NewFileUpload", "{ }"),
        (
            r#"{"EventType":"WechatMiniProgramPublishComplete","WechatMiniProgramPublishEvent":{"b":1},"X":{"a":1}}"#,
            "WechatMiniProgramPublishComplete",
            r#"{"b":1}"#,
        ),
        (r#"{"EventType":null,"FileUploadEvent":{"b":1}}"#, "NewFileUpload", r#"{"b":1}"#),
        (r#"{"WechatPublishComplete":{"b":1}}"#, "WechatPublishComplete", r#"{"b":1}"#),
        (r#"{"FooCompleteEvent":{"b":1},"n":5}"#, "FooComplete", r#"{"b":1}"#),
        (r#"{"FooComplete":{"b":1}}"#, "FooComplete", r#"{"b":1}"#),
        (r#"{"EventType":"Foo","data":{"b":1}}"#, "Foo", r#"{"b":1}"#),
        (r#"{"EventType":"Foo","eventType":"Bar","data":{"b":1}}"#, "Foo", r#"{"b":1}"#),
        (r#"{"eventType":"Foo","data":{"b":1},"X":{"a":1}}"#, "v2.Foo", r#"{"b":1}"#),
        (r#"{"\u0045ventType":"\u0046oo","X":{"a":1}}"#, "Foo", r#"{"a":1}"#),
    ] {
        let content = read(message);
        assert_eq!(content.event_type, event_type, "{message}");
        assert_eq!(content.payload, payload, "{message}");
    }
}

#[test]
fn the_first_file_is_that_of_the_first_path_that_leads_to_one() {
    for (event_type, payload, file) in [
        (
            "EditMediaComplete",
            r#"{"Input":{"FileInfoSet":[{"FileId":"a"}]},"Output":{"FileId":"b"}}"#,
            Some("b"),
        ),
        (
            "EditMediaComplete",
            r#"{"Output":null,"Input":{"FileInfoSet":[{},{"FileId":""},{"FileId":"a"}]}}"#,
            Some("a"),
        ),
        ("FileDeleted", r#"{"FileIdSet":["",null,7,"b"]}"#, Some("7")),
        ("FileDeleted", r#"{"FileIdSet":[[["x"]],{"a":{}},"b"]}"#, Some("b")),
        ("FileDeleted", r#"{"FileIdSet":[],"FileDeleteResultInfo":[{"FileId":"c"}]}"#, Some("c")),
        ("FileDeleted", r#"{"FileIdSet":"c"}"#, None),
        ("PullComplete", r#"{"FileId":"a","FileId":"b"}"#, Some("b")),
        ("PullComplete", r#"{"\u0046ileId":"\u0061"}"#, Some("a")),
        ("PullComplete", r#"{"FileId":"\ud800"}"#, Some("%ED%A0%80")),
        (
            "ComposeMediaComplete",
            r#"{"Input":{"Tracks":[{"TrackItems":[{"AudioItem":{"SourceMedia":"http://x/y"}},{"AudioItem":{"SourceMedia":"a"}}]}]}}"#,
            Some("a"),
        ),
        (
            "ProcedureStateChanged",
            r#"{"FileId":"","MediaProcessResultSet":[{"TranscodeTask":null},{"TranscodeTask":{"Output":{"FileId":"a"}}}]}"#,
            Some("a"),
        ),
        ("Unknown", r#"{"FileId":"a"}"#, Some("a")),
        ("Unknown", r#"{"Output":{"FileId":"a"}}"#, None),
    ] {
        let content = read(format!("{{\"EventType\":\"{event_type}\",\"E\":{payload}}}"));
        assert_eq!(content.file.as_deref(), file, "{payload}");
        assert_eq!(content.subject.as_deref(), file);
    }
}

#[test]
fn without_a_file_the_task_is_the_subject_and_without_a_task_the_cast() {
    for (payload, subject) in [
        (r#"{"TaskId":"t","CastId":"c"}"#, Some("t")),
        (r#"{"CastId":"c"}"#, Some("c")),
        ("{}", None),
    ] {
        let content = read(format!("{{\"EventType\":\"MediaCastStatusChanged\",\"E\":{payload}}}"));
        assert_eq!(content.subject.as_deref(), subject, "{payload}");
    }
}
