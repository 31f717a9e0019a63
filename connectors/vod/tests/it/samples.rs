use vodbridge_vod::{Content, Format, catalogue, metric_type};

use crate::support::{events, hex, read, sample, samples};

/// Type and name of each event in the six main samples and some that differ from the rule, with
/// `#` for the digest.
const IDS: &[(&str, &str)] = &[
    ("NewFileUpload", "NewFileUpload:5285890784273533167"),
    ("PullComplete", "PullComplete:125676836723-Pull-f5ac8127b3b6b85cdc13f237c6005d8"),
    ("FileDeleted", "FileDeleted:#"),
    (
        "ProcedureStateChanged",
        "ProcedureStateChanged:1256768367-Procedure-475b72xxxcb177t1:FINISH:#",
    ),
    ("EditMediaComplete", "EditMediaComplete:1256768367-EditMedia-f5ac8127b3b6b85cdc13f237c6005d8"),
    (
        "ComposeMediaComplete",
        "ComposeMediaComplete:1256768367-ComposeMedia-f5ac8127b3b6b85cdc13f237c6005d8",
    ),
    ("PersistenceComplete", "PersistenceComplete:5285890784273533167:SimpleHlsClip"),
    ("RestoreMediaComplete", "RestoreMediaComplete:#"),
    ("MediaCastStatusChanged", "MediaCastStatusChanged:#"),
    ("ProcessImageAsyncCompleteEvent", "ProcessImageAsyncCompleteEvent:#"),
    (
        "WechatPublishComplete",
        "WechatPublishComplete:Wechat-f5ac8127b3b6b85cdc13f237c6005d8:FINISH:#",
    ),
    ("TranscodeComplete", "TranscodeComplete:Transcode-f5ac8127b3b6b85cdc13f237c6005d8"),
];

#[track_caller]
fn check_id(content: &Content, id: &str) {
    let digest = hex(content.identity.digest);
    assert_eq!(content.identity.id, id.replace('#', &digest));
    assert_eq!(content.identity.by_content, id.matches(':').count() == 1 && id.ends_with(":#"));
}

#[test]
fn the_samples_of_the_table_have_the_ids_written_there() {
    for (event_type, id) in IDS {
        check_id(&read(sample(&format!("{event_type}.callback.json"))), id);
    }
}

#[test]
fn every_type_is_read_from_its_callback_by_its_rule() {
    for entry in &catalogue::ENTRIES {
        let event_type = entry.event_type();
        let content = read(sample(&format!("{event_type}.callback.json")));
        assert_eq!(content.event_type, event_type);
        assert_eq!(metric_type(&content), event_type);
        assert_eq!(content.format, Format::V3);
        assert_eq!(content.task.is_some(), entry.task, "{event_type}");
        assert_eq!(content.cast.is_some(), entry.cast, "{event_type}");
        let task = content.task.clone().unwrap_or_default();
        match entry.id {
            catalogue::IdRule::Task => check_id(&content, &format!("{event_type}:{task}")),
            catalogue::IdRule::TaskState => {
                let status = content.status.as_deref().unwrap();
                check_id(&content, &format!("{event_type}:{task}:{status}:#"));
            }
            catalogue::IdRule::Members(_) => assert!(!content.identity.by_content),
            catalogue::IdRule::Content => check_id(&content, &format!("{event_type}:#")),
        }
        if !entry.files.is_empty() && event_type != "AigcHunyuan3DTaskComplete" {
            assert!(content.file.is_some(), "{event_type}");
        }
    }
}

#[test]
fn an_event_has_one_id_whichever_way_it_comes() {
    for entry in &catalogue::ENTRIES {
        let event_type = entry.event_type();
        let called = read(sample(&format!("{event_type}.callback.json")));
        let pulled = events(&sample(&format!("{event_type}.pull.json")));
        let [pulled] = &pulled[..] else { panic!("{event_type}: {} events", pulled.len()) };
        let pulled = read(pulled.clone());
        assert_eq!(pulled.event_type, event_type);
        assert!(pulled.handle.is_some() && called.handle.is_none());
        assert_eq!(pulled.subject, called.subject);
        // The documents show two different events for these.
        if ["EditMediaComplete", "ReduceMediaBitrateComplete"].contains(&event_type) {
            assert_ne!(pulled.identity, called.identity);
        } else {
            assert_eq!(pulled.identity, called.identity, "{event_type}");
        }
    }
}

#[test]
fn variants_read_to_what_they_are() {
    for (path, id, subject) in [
        (
            "PullComplete.nested.callback.json",
            "PullComplete:125676836723-Pull-f5ac8127b3b6b85cdc13f237c6005d8",
            "14508071098244959037",
        ),
        ("FileDeleted.many.callback.json", "FileDeleted:#", "24961954183381008"),
        (
            "NewFileUpload.signed.callback.json",
            "NewFileUpload:5285890784273533167",
            "5285890784273533167",
        ),
        (
            "NewFileUpload.full.callback.json",
            "NewFileUpload:5285890784273533167",
            "5285890784273533167",
        ),
        (
            "EditMediaComplete.failed.callback.json",
            "EditMediaComplete:1256768367-EditMedia-f5ac8127b3b6b85cdc13f237c6005d8",
            "24961954183381008",
        ),
        (
            "ProcedureStateChanged.processing.callback.json",
            "ProcedureStateChanged:1256768367-Procedure-475b72xxxcb177t1:\
             PROCESSING:#",
            "5285890784246869930",
        ),
        (
            "Unknown.callback.json",
            "SomethingNewComplete:1256768367-SomethingNew-0123456789abcdef0123456789abcdeft0:\
             FINISH:#",
            "5285890784273533167",
        ),
    ] {
        let content = read(sample(&format!("variants/{path}")));
        check_id(&content, id);
        assert_eq!(content.subject.as_deref(), Some(subject), "{path}");
    }
    let unknown = read(sample("variants/Unknown.callback.json"));
    assert!(unknown.entry.is_none());
    assert_eq!(metric_type(&unknown), "other");
}

#[test]
fn every_variant_is_read() {
    for path in samples("variants", ".callback.json") {
        read(std::fs::read(path).unwrap());
    }
    for path in samples("variants", ".pull.json") {
        events(&std::fs::read(path).unwrap()).into_iter().for_each(|event| drop(read(event)));
    }
}

#[test]
fn a_signed_upload_is_the_unsigned_one() {
    let signed = read(sample("variants/NewFileUpload.signed.callback.json"));
    let plain = read(sample("NewFileUpload.callback.json"));
    assert_eq!(signed.identity, plain.identity);
    let signature = signed.signature.unwrap();
    assert_eq!(signature.sign, "7ac575afac0e8081ad1421399ab59099");
    assert_eq!(signature.t, 1_767_226_200);
}

#[test]
fn file_ids_are_exact_beyond_every_integer() {
    let composed = read(sample("ComposeMediaComplete.callback.json"));
    assert_eq!(composed.file.as_deref(), Some("5285485487985271490"));
    let multi = events(&sample("variants/multi.pull.json"));
    let last = read(multi.last().unwrap().clone());
    assert!(last.file.unwrap().parse::<u64>().unwrap() > i64::MAX.unsigned_abs());
}

#[test]
fn format_2_passes_under_its_own_type_and_id() {
    for (event_type, id, subject) in [
        ("NewFileUpload", "5285890784273533167", Some("5285890784273533167")),
        ("PullComplete", "Pull-f5ac8127b3b6b85cdc13f237c6005d8", Some("14508071098244959037")),
        ("FileDeleted", "#", Some("24961954183381008")),
        (
            "ProcedureStateChanged",
            "125676836723-xxx-25f5aac63:PROCESSING:#",
            Some("14508071098244959037"),
        ),
        (
            "TranscodeComplete",
            "Transcode-1edb7eb88a599d05abe451cfc541cfbd",
            Some("14508071098244931831"),
        ),
        ("CreateSnapshotByTimeOffsetComplete", "", None),
        ("CreateImageSpriteComplete", "", None),
        ("ClipComplete", "clipVideo-0a78cf44c4285026a4c", Some("14508071098244929440")),
        ("ConcatComplete", "Concat-1edb7eb88a599d05abe451cfc541cfbd", Some("14508071098244931831")),
    ] {
        let content = read(sample(&format!("legacy-v2/{event_type}.callback.json")));
        assert_eq!(content.format, Format::V2);
        assert_eq!(content.event_type, format!("v2.{event_type}"));
        assert_eq!(metric_type(&content), event_type);
        let task = content.task.clone().unwrap_or_default();
        let id = if id.is_empty() { task.as_str() } else { id };
        let expected = format!("v2:{event_type}:{id}").replace('#', &hex(content.identity.digest));
        assert_eq!(content.identity.id, expected);
        assert_eq!(content.identity.by_content, id == "#");
        assert_eq!(content.subject.as_deref(), subject.or(content.file.as_deref()));
        assert!(content.subject.is_some());
    }
    assert_eq!(samples("legacy-v2", ".json").len(), 9);
}
