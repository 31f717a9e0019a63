use super::{Entry, IdRule};

/// All types, in the order of the vendor's data types page: its EventContent, SDK 3.1.194.
pub static ENTRIES: [Entry; 37] = numbered([
    Entry::taskless("NewFileUpload", "FileUploadEvent")
        .id(IdRule::Members(&["FileId"]))
        .files(&["FileId"])
        .switch("UploadMediaCompleteEventSwitch"),
    Entry::task("PullComplete", "PullCompleteEvent").files(&["FileId"]),
    Entry::taskless("FileDeleted", "FileDeleteEvent")
        .files(&["FileIdSet[]", "FileDeleteResultInfo[].FileId"])
        .switch("DeleteMediaCompleteEventSwitch"),
    Entry::task("ProcedureStateChanged", "ProcedureStateChangeEvent").id(IdRule::TaskState).files(
        &[
            "FileId",
            "MediaProcessResultSet[].TranscodeTask.Output.FileId",
            "AiRecognitionResultSet[].SegmentTask.Output.SegmentSet[].FileId",
        ],
    ),
    Entry::task("EditMediaComplete", "EditMediaCompleteEvent")
        .aliases(&["EditMediaComplete"])
        .files(&["Output.FileId", "Input.FileInfoSet[].FileId"]),
    Entry::task("ComposeMediaComplete", "ComposeMediaCompleteEvent").files(&[
        "Output.FileId",
        "Input.Tracks[].TrackItems[].SourceMedia",
        "Input.Tracks[].TrackItems[].VideoItem.SourceMedia",
        "Input.Tracks[].TrackItems[].AudioItem.SourceMedia",
        "Input.Tracks[].TrackItems[].StickerItem.SourceMedia",
    ]),
    Entry::task("SplitMediaComplete", "SplitMediaCompleteEvent")
        .files(&["FileInfoSet[].Output.FileId", "FileInfoSet[].Input.FileId"]),
    Entry::taskless("RestoreMediaComplete", "RestoreMediaCompleteEvent").files(&["FileId"]),
    Entry::task("RemoveWatermark", "RemoveWatermarkCompleteEvent")
        .files(&["Output.FileId", "Input.FileId"]),
    Entry::task("RebuildMediaComplete", "RebuildMediaCompleteEvent")
        .files(&["Output.FileId", "Input.FileId"]),
    Entry::task("QualityEnhanceComplete", "QualityEnhanceCompleteEvent")
        .files(&["Output.FileId", "Input.FileId"]),
    Entry::task("QualityInspectComplete", "QualityInspectCompleteEvent").files(&["Input.FileId"]),
    Entry::task("ReviewAudioVideoComplete", "ReviewAudioVideoCompleteEvent")
        .files(&["Input.FileId"]),
    Entry::task("DescribeFileAttributesComplete", "DescribeFileAttributesCompleteEvent")
        .files(&["FileId"]),
    Entry::task("ExtractTraceWatermarkComplete", "ExtractTraceWatermarkCompleteEvent")
        .files(&["Input.FileId"]),
    Entry::task("ExtractCopyRightWatermarkComplete", "ExtractCopyRightWatermarkCompleteEvent"),
    Entry::task("ExtractBlindWatermarkComplete", "ExtractBlindWatermarkComplete")
        .files(&["InputInfo.FileId"]),
    Entry::taskless("PersistenceComplete", "PersistenceCompleteEvent")
        .id(IdRule::Members(&["FileId", "PersistenceSource"]))
        .files(&["FileId"])
        .switch("PersistenceCompleteEventSwitch"),
    Entry::task(
        "ComplexAdaptiveDynamicStreamingComplete",
        "ComplexAdaptiveDynamicStreamingCompleteEvent",
    ),
    Entry::task("ProcessMediaByMPSComplete", "ProcessMediaByMPSCompleteEvent")
        .files(&["SubTaskSet[].Output.OutputFiles[].FileId"]),
    Entry::taskless("MediaCastStatusChanged", "MediaCastStatusChangedEvent").cast(),
    Entry::task("WechatMiniProgramPublishComplete", "WechatMiniProgramPublishCompleteEvent")
        .aliases(&["WechatMiniProgramPublishEvent"])
        .id(IdRule::TaskState)
        .files(&["FileId"]),
    Entry::task("WechatPublishComplete", "WechatPublishCompleteEvent")
        .aliases(&["WechatPublishComplete"])
        .id(IdRule::TaskState)
        .files(&["FileId"]),
    Entry::task("ReduceMediaBitrateComplete", "ReduceMediaBitrateCompleteEvent")
        .id(IdRule::TaskState)
        .files(&["FileId", "MediaProcessResultSet[].TranscodeTask.Output.FileId"]),
    Entry::task("AigcImageTaskComplete", "AigcImageCompleteEvent")
        .files(&["Output.FileInfos[].FileId", "Input.FileInfos[].FileId"]),
    Entry::task("AigcVideoTaskComplete", "AigcVideoCompleteEvent")
        .files(&["Output.FileInfos[].FileId", "Input.FileInfos[].FileId"]),
    Entry::task("AigcHunyuan3DTaskComplete", "AigcHunyuan3DCompleteEvent").files(&[
        "Input.ImageInfos[].FileId",
        "Input.MultiViewImageInfos[].FileId",
        "Input.MeshInfos[].FileId",
    ]),
    Entry::task("DescribeAigcFaceInfoAsyncComplete", "DescribeAigcFaceInfoAsyncCompleteEvent")
        .files(&["Input.FileInfos[].FileId"]),
    Entry::task("SceneAigcImageCompleteEvent", "SceneAigcImageCompleteEvent")
        .files(&["Output.FileInfos[].FileId", "Input.FileInfos[].FileId"]),
    Entry::taskless("ProcessImageAsyncCompleteEvent", "ProcessImageAsyncCompleteEvent"),
    Entry::task(
        "CreateAigcAdvancedCustomElementCompleteEvent",
        "CreateAigcAdvancedCustomElementCompleteEvent",
    ),
    Entry::task("CreateAigcCustomVoiceCompleteEvent", "CreateAigcCustomVoiceCompleteEvent"),
    Entry::task("TranscodeComplete", "TranscodeCompleteEvent").files(&["FileId"]),
    Entry::task("CreateImageSpriteComplete", "CreateImageSpriteCompleteEvent").files(&["FileId"]),
    Entry::task("CreateSnapshotByTimeOffsetComplete", "SnapshotByTimeOffsetCompleteEvent")
        .files(&["FileId"]),
    Entry::task("ClipComplete", "ClipCompleteEvent").files(&["FileInfo.FileId", "SrcFileId"]),
    Entry::task("ConcatComplete", "ConcatCompleteEvent").files(&["FileInfoSet[].FileId"]),
]);

const fn numbered<const N: usize>(mut entries: [Entry; N]) -> [Entry; N] {
    let mut index = 0;
    while index < N {
        entries[index].index = index;
        index += 1;
    }
    entries
}
