//! Bodies of every event type, each with files and tasks of its own.

use bytes::Bytes;

use crate::callback::file_id;

/// An event type, and a callback body as the vendor documents or sends it.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The type.
    pub event_type: &'static str,
    body: &'static str,
}

macro_rules! sample {
    ($name:literal) => {
        Sample {
            event_type: $name,
            body: include_str!(concat!(
                "../../../connectors/vod/samples/",
                $name,
                ".callback.json"
            )),
        }
    };
}

/// One sample of every event type.
pub const SAMPLES: &[Sample] = &[
    sample!("AigcHunyuan3DTaskComplete"),
    sample!("AigcImageTaskComplete"),
    sample!("AigcVideoTaskComplete"),
    sample!("ClipComplete"),
    sample!("ComplexAdaptiveDynamicStreamingComplete"),
    sample!("ComposeMediaComplete"),
    sample!("ConcatComplete"),
    sample!("CreateAigcAdvancedCustomElementCompleteEvent"),
    sample!("CreateAigcCustomVoiceCompleteEvent"),
    sample!("CreateImageSpriteComplete"),
    sample!("CreateSnapshotByTimeOffsetComplete"),
    sample!("DescribeAigcFaceInfoAsyncComplete"),
    sample!("DescribeFileAttributesComplete"),
    sample!("EditMediaComplete"),
    sample!("ExtractBlindWatermarkComplete"),
    sample!("ExtractCopyRightWatermarkComplete"),
    sample!("ExtractTraceWatermarkComplete"),
    sample!("FileDeleted"),
    sample!("MediaCastStatusChanged"),
    sample!("NewFileUpload"),
    sample!("PersistenceComplete"),
    sample!("ProcedureStateChanged"),
    sample!("ProcessImageAsyncCompleteEvent"),
    sample!("ProcessMediaByMPSComplete"),
    sample!("PullComplete"),
    sample!("QualityEnhanceComplete"),
    sample!("QualityInspectComplete"),
    sample!("RebuildMediaComplete"),
    sample!("ReduceMediaBitrateComplete"),
    sample!("RemoveWatermark"),
    sample!("RestoreMediaComplete"),
    sample!("ReviewAudioVideoComplete"),
    sample!("SceneAigcImageCompleteEvent"),
    sample!("SplitMediaComplete"),
    sample!("TranscodeComplete"),
    sample!("WechatMiniProgramPublishComplete"),
    sample!("WechatPublishComplete"),
];

/// The sample of an event type.
pub fn sample(event_type: &str) -> Option<&'static Sample> {
    SAMPLES.iter().find(|sample| sample.event_type == event_type)
}

// === impl Sample ===

impl Sample {
    /// The body with the files and tasks of number `n`: every text that is the value of `FileId`,
    /// `TaskId` or `CastId` is another for each number.
    pub fn body(&self, n: u64) -> Bytes {
        let mut out = String::with_capacity(self.body.len() + 64);
        let mut rest = self.body;
        while let Some((before, name, behind)) = next_name(rest) {
            out.push_str(before);
            let Some((gap, value, after)) = text_value(behind) else {
                rest = behind;
                continue;
            };
            out.push_str(gap);
            match name {
                "FileId" if !value.is_empty() => out.push_str(&file_id(n)),
                _ if value.is_empty() => {}
                _ => out.extend([value, "n", &n.to_string()]),
            }
            rest = after;
        }
        out.push_str(rest);
        out.into()
    }
}

/// What stands up to the end of the next such name, the name, and what follows it.
fn next_name(text: &str) -> Option<(&str, &'static str, &str)> {
    let find = |name: &'static str| {
        let quoted = format!("\"{name}\"");
        text.find(&quoted).map(|at| (at + quoted.len(), name))
    };
    let (end, name) = ["FileId", "TaskId", "CastId"].into_iter().filter_map(find).min()?;
    Some((&text[..end], name, &text[end..]))
}

/// The colon and the opening quote, a text's value, and its closing quote with what follows.
fn text_value(text: &str) -> Option<(&str, &str, &str)> {
    let trimmed = text.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let start = text.len() - trimmed.len();
    let end = start + trimmed.find('"')?;
    Some((&text[..start], &text[start..end], &text[end..]))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use vodbridge_vod::{Content, catalogue};

    use super::*;

    #[test]
    fn there_is_a_sample_of_every_type_in_the_catalogue() {
        for entry in catalogue::ENTRIES {
            assert!(sample(entry.event_type()).is_some(), "{}", entry.event_type());
        }
    }

    #[test]
    fn every_number_of_a_type_that_names_something_is_another_event() {
        for sample in SAMPLES {
            let [one, two] = [1, 2].map(|n| Content::read(&sample.body(n)).unwrap());
            let again = Content::read(&sample.body(1)).unwrap();
            assert_eq!(one.identity.id, again.identity.id);
            if one.subject.is_some() {
                assert_ne!(
                    (one.identity.id, one.identity.digest),
                    (two.identity.id, two.identity.digest),
                    "{}",
                    sample.event_type
                );
            }
        }
    }

    #[test]
    fn bodies_stay_json_with_the_members_they_had() {
        for sample in SAMPLES {
            let before: Value = serde_json::from_str(sample.body).unwrap();
            let after: Value = serde_json::from_slice(&sample.body(7)).unwrap();
            let keys =
                |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&before), keys(&after));
        }
    }
}
