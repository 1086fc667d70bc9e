import com.google.gson.Gson;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.hl7.fhir.r5.elementmodel.Manager.FhirFormat;
import org.hl7.fhir.r5.model.CodeSystem;
import org.hl7.fhir.r5.model.Enumerations.CodeSystemContentMode;
import org.hl7.fhir.r5.model.Enumerations.PublicationStatus;
import org.hl7.fhir.r5.utils.validation.IValidatorResourceFetcher;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;
import org.hl7.fhir.utilities.npm.NpmPackage;
import org.hl7.fhir.utilities.validation.ValidationMessage;
import org.hl7.fhir.utilities.validation.ValidationMessage.IssueSeverity;
import org.hl7.fhir.validation.ValidationEngine;
import org.hl7.fhir.validation.ValidatorUtils;
import org.hl7.fhir.validation.instance.advisor.BasePolicyAdvisorForFullValidation;

/**
 * HL7's official validator without network: {@code Oracle PACKAGES-FOLDER PACKAGE#VERSION,... < list of files}.
 * Prints one JSON line a file: its errors as [location, message id, invariant key, message], and the milliseconds.
 */
public final class Oracle {
  private static final List<String> MIME_TYPES =
      List.of(
          "application/pdf", "image/gif", "image/jpeg", "image/png", "image/tiff", "image/bmp", "text/plain", "text/html",
          "text/xml", "application/xml", "application/json", "application/fhir+json", "application/fhir+xml",
          "application/zip", "application/msword", "application/octet-stream", "application/dicom", "audio/mpeg", "video/mp4");
  private static final List<String> LANGUAGES = List.of("da", "da-DK", "en", "en-GB", "en-US", "de", "sv", "no");

  public static void main(String[] arguments) throws Exception {
    ValidationEngine engine = engine(Path.of(arguments[0]), arguments[1].split(","));
    Gson gson = new Gson();
    for (String file : new String(System.in.readAllBytes()).split("\n")) {
      if (file.isBlank()) continue;
      long start = System.nanoTime();
      List<ValidationMessage> messages = new ArrayList<>();
      try {
        engine.validate(Files.readAllBytes(Path.of(file)), FhirFormat.JSON, List.of(), messages);
      } catch (Exception stopped) {
        System.out.println("ORACLE " + gson.toJson(Map.of("file", file, "stopped", String.valueOf(stopped))));
        continue;
      }
      double took = (System.nanoTime() - start) / 1e6;
      List<String[]> errors = new ArrayList<>();
      for (ValidationMessage m : messages) {
        if (m.getLevel() == IssueSeverity.ERROR || m.getLevel() == IssueSeverity.FATAL) {
          errors.add(new String[] {m.getLocation(), m.getMessageId(), m.getInvId(), m.getMessage()});
        }
      }
      Map<String, Object> line = new TreeMap<>(Map.of("file", file, "errors", errors, "ms", took));
      System.out.println("ORACLE " + gson.toJson(line));
    }
  }

  private static ValidationEngine engine(Path folder, String[] packages) throws Exception {
    ValidationEngine engine =
        new ValidationEngine.ValidationEngineBuilder()
            .withVersion("4.0.1")
            .withNoTerminologyServer()
            .withCanRunWithoutTerminologyServer(true)
            .withThoVersion("0.0.0")
            .withExtensionsVersion("0.0.0")
            .withLoggingService(new Silence())
            .fromNothing();
    for (String one : packages) {
      NpmPackage npm = NpmPackage.fromFolder(folder.resolve(one).toString());
      engine.getContext().loadFromPackage(npm, ValidatorUtils.loaderForVersion("4.0.1"), true);
    }
    engine.getContext().cacheResource(enumerated("urn:ietf:bcp:13", MIME_TYPES));
    engine.getContext().cacheResource(enumerated("urn:ietf:bcp:47", LANGUAGES));
    engine.getContext().setNoTerminologyServer(true);
    engine.prepare();
    engine.setAllowExampleUrls(true);
    engine.setFetcher(fetcher());
    engine.setPolicyAdvisor(new BasePolicyAdvisorForFullValidation(ReferenceValidationPolicy.IGNORE, Set.of()));
    return engine;
  }

  /** A code system that no package holds, since its codes follow a grammar. */
  private static CodeSystem enumerated(String url, List<String> codes) {
    CodeSystem system = new CodeSystem();
    system.setUrl(url).setName("Enumerated").setStatus(PublicationStatus.ACTIVE).setContent(CodeSystemContentMode.COMPLETE);
    system.setId("enumerated-" + url.substring(url.lastIndexOf(':') + 1));
    codes.forEach(code -> system.addConcept().setCode(code).setDisplay(code));
    return system;
  }

  /** Knows nothing outside the Bundle, and takes every URL as resolvable. */
  private static IValidatorResourceFetcher fetcher() {
    return (IValidatorResourceFetcher)
        Proxy.newProxyInstance(
            Oracle.class.getClassLoader(),
            new Class<?>[] {IValidatorResourceFetcher.class},
            (self, method, values) ->
                switch (method.getName()) {
                  case "resolveURL" -> true;
                  case "fetchesCanonicalResource" -> false;
                  case "fetchCanonicalResourceVersions" -> Set.of();
                  case "setLocale" -> self;
                  case "hashCode" -> 0;
                  case "equals" -> self == values[0];
                  default -> null;
                });
  }

  private static final class Silence implements org.hl7.fhir.r5.context.ILoggingService {
    @Override
    public void logMessage(String message) {}

    @Override
    public void logDebugMessage(LogCategory category, String message) {}

    @Override
    public boolean isDebugLogging() {
      return false;
    }
  }
}
